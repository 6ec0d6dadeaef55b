use glasslab::prelude::*;
fn main() -> Result<()> {
    let tk = CharTokenizer::default();
    let data = Dataset::load()?;
    let tr = Tokens::encode(&data.train, &tk)?;
    let ho = Tokens::encode(&data.held_out, &tk)?;
    for n in [1, 2, 3, 6] {
        let t = std::time::Instant::now();
        let m = NGram::count(&tr, n, 256)?;
        let c = t.elapsed();
        println!("{n}-gram {:?} count {:?} eval {:?}", evaluate(&m, &ho)?, c, t.elapsed() - c);
    }
    let a: Vec<String> = std::env::args().collect();
    let config = TrainConfig {
        steps: a[1].parse().unwrap(),
        batch_size: a[2].parse().unwrap(),
        lr: a[3].parse().unwrap(),
        ..Default::default()
    };
    let mut m = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
    let h = train(&mut m, &tr, &ho, &config)?;
    println!("{:?} {:?}", h.points[0].train, evaluate(&m, &ho)?);
    println!("{}", generate(&m, &tk, "A", &Sampling::default())?);
    Ok(())
}
