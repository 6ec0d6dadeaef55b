use super::*;

#[test]
fn an_engine_is_this_machine_or_an_address_with_a_port() {
    assert_eq!("local".parse(), Ok(Engine::Local));
    assert_eq!("tcp://10.0.0.1:8786".parse(), Ok(Engine::Dask("tcp://10.0.0.1:8786".to_owned())));
    for other in ["", "dask", "tcp://", "tcp://host", "tcp://:8786", "tcp://host:port", "http://host:80"] {
        let said = other.parse::<Engine>().unwrap_err();
        assert!(said.contains("tcp://HOST:PORT") && said.contains(other), "{said}");
    }
}

fn run(file: &str) -> Run {
    Run { file: file.to_owned(), settings: Default::default(), seed: 0, config: String::new(), parameters: 1 }
}

#[test]
fn an_answer_goes_to_the_run_that_it_names() {
    let (one, two) = (run("one"), run("two"));
    let runs = [&one, &two];
    let mut taken = Vec::new();
    let mut take = |run: &Run, outcome: Outcome| {
        taken.push((run.file.clone(), outcome));
        Ok(())
    };
    let ended = r#"{"name": "two", "status": 0, "stdout": "{}", "stderr": "", "host": "there"}"#;
    take_answer(ended, &runs, &mut take).unwrap();
    take_answer(r#"{"name": "one", "unable": "no text"}"#, &runs, &mut take).unwrap();
    for odd in ["no JSON", r#"{"name": "three", "unable": ""}"#] {
        assert!(take_answer(odd, &runs, &mut take).unwrap_err().to_string().contains(odd));
    }
    let ended = Ended { status: 0, stdout: "{}".to_owned(), stderr: String::new(), host: "there".to_owned() };
    let expected =
        [("two".to_owned(), Outcome::Ended(ended)), ("one".to_owned(), Outcome::Unable("no text".to_owned()))];
    assert_eq!(taken, expected);
}
