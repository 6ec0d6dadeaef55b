//! Plain evcxr_jupyter, for comparison: `scripts/lab run --stock` and `scripts/bench kernel` build it.

fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}
