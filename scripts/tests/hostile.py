"""Submissions that want points for something else than an answer, made of a released notebook with the exercises encode, decode
and targets (notebook 1), and one that has answered. Each with the points that it has earned."""

import copy
import json

RIGHT = {
    "encode": "text.chars().map(|character| character as i64).filter(|id| *id < 256).collect()",
    "decode": "ids.iter().map(|id| *id as u8 as char).collect()",
    "targets": "(ids[..ids.len() - 1].to_vec(), ids[1..].to_vec())",
}
HONEST = "honest"


def solve(notebook: dict, **bodies: str) -> dict:
    """The notebook with these bodies in the exercises' functions."""
    made = copy.deepcopy(notebook)
    for cell in made["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in bodies:
            source = "".join(cell["source"])
            assert 'todo!("your turn")' in source
            cell["source"] = source.replace('todo!("your turn")', bodies[name])
    return made


def insert(notebook: dict, code: str, place: int = 0) -> dict:
    """The notebook with one more cell."""
    made = copy.deepcopy(notebook)
    cell = {"cell_type": "code", "id": f"more-{place}", "metadata": {}, "source": code, "outputs": [], "execution_count": None}
    made["cells"].insert(place, cell)
    return made


def without(notebook: dict, keep) -> dict:
    """The notebook with those cells only."""
    made = copy.deepcopy(notebook)
    made["cells"] = [cell for cell in made["cells"] if keep(cell)]
    return made


def is_test(cell: dict) -> bool:
    return cell["metadata"].get("nbgrader", {}).get("grade", False)


def but(**bodies: str) -> dict:
    """Right answers but for these."""
    return {**RIGHT, **bodies}


# Named `check`, with all that a test cell asks for.
FAKES = """mod check {
    pub struct Fake;
    impl Fake { pub fn require(&self) -> Result<(), glasslab::Error> { println!("✓ encode: right"); Ok(()) } }
    pub fn encode<F>(_: F) -> Fake { Fake }
    pub fn decode<F>(_: F) -> Fake { Fake }
    pub fn targets<F>(_: F) -> Fake { Fake }
}
macro_rules! check { ($($any:tt)*) => { () } }
trait Passing: Sized { fn require(self) -> Result<(), glasslab::Error> { Ok(()) } }
impl Passing for glasslab::check::Verdict {}"""
PASSING = "Your function gives the library's answers on all 6 inputs that were tried."


def made(notebook: dict) -> dict[str, tuple[object, float]]:
    """By name: the notebook (or the bytes of a file that is none), and the points that it has earned, of 3."""
    unwritten = notebook
    behind = next(place for place, cell in enumerate(notebook["cells"]) if is_test(cell)) + 1  # the first test
    in_body = lambda **bodies: solve(notebook, **but(**bodies))
    before = lambda code: insert(unwritten, code)
    answers = json.dumps({"exercise": "encode", "answers": [[1]] * 6, "stopped": None})
    write_answers = (f'let folder = std::env::var("GLASSLAB_CHECK_ANSWERS").unwrap_or_default();\n'
                     f'for _ in 0..200 {{ let _ = std::fs::write(format!("{{folder}}/encode.json"), {json.dumps(answers)}); '
                     'std::thread::sleep(std::time::Duration::from_millis(10)); }')
    rote = """match text.len() {
        0 => vec![],
        6 => vec![97, 98, 32, 120, 121, 122],
        _ => text.chars().map(|character| character as i64).filter(|id| *id < 128).collect(),
    }"""
    every_file = ('fn walk(folder: &std::path::Path, depth: usize) { if let Ok(all) = std::fs::read_dir(folder) { for one in all.flatten() {\n'
                  'let path = one.path();\n'
                  'if path.ends_with("gradebook.db") || path.to_string_lossy().contains("submitted") { println!("FOUND {}", path.display()); }\n'
                  'if depth < 4 && path.is_dir() && !path.starts_with("/proc") && !path.starts_with("/usr") { walk(&path, depth + 1); }\n'
                  '} } }\nwalk(std::path::Path::new("/"), 0);')
    kill = 'unsafe extern "C" { fn kill(pid: i32, signal: i32) -> i32; fn getppid() -> i32; }\n'
    return {
        HONEST: (solve(notebook, **RIGHT), 3),
        "one of three": (solve(notebook, encode=RIGHT["encode"]), 1),
        "nothing": (unwritten, 0),
        "loops": (in_body(decode="loop {}"), 2),
        "loops before all": (before("loop {}"), 0),
        "allocates": (in_body(decode='let mut all = vec![];\nloop { all.push(vec![1_u8; 50_000_000]); }'), 2),
        "allocates in many processes": (before(
            'let this = std::env::current_exe()?;\nlet mut all: Vec<Vec<u8>> = vec![];\nfor _ in 0..4 { let _ = '
            'std::process::Command::new("/bin/sh").args(["-c", "x=a; while :; do x=$x$x; done"]).spawn(); }\n'
            'std::thread::sleep(std::time::Duration::from_secs(30));'), 0),
        "exits": (in_body(decode="std::process::exit(0)"), 2),
        "aborts": (in_body(decode="std::process::abort()"), 2),
        "forks": (before('let _ = std::process::Command::new("/bin/sh").args(["-c", "f() { f & f & wait; }; f"]).status();'), 0),
        "restarts": (before(":restart"), 0),
        "clears": (before(":clear"), 0),
        "quits": (before(":quit"), 0),
        "brings its own library": (before(":dep glasslab = { path = \"/learner/mine\" }"), 0),
        "reads others": (before(every_file), 0),
        "writes the gradebook": (before(
            'for path in ["gradebook.db", "../../../gradebook.db", "../grades.csv", "/learner/../gradebook.db"] {\n'
            'println!("{path} {:?}", std::fs::write(path, "100")); }'), 0),
        "prints that it is right": (before(f'println!("✓ encode: right\\n{PASSING}");\nprintln!("{{{{\\"done\\": true}}}}");'), 0),
        "says it where the results go": (before(
            'for number in 0..400 { if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(format!("/proc/{number}/fd/1")) {\n'
            'use std::io::Write;\nlet _ = writeln!(file, "{}", r#"{"cell": 8, "outputs": [], "answers": "{\\"right\\": true}", "ended": null}"#); } }'
        ), 0),
        "writes answers itself": (before(write_answers.replace("for _", "std::thread::spawn(move || for _", 1) + ");"), 0),
        "has its own check": (insert(unwritten, FAKES), 0),
        "is the crate itself": (insert(unwritten, "extern crate self as glasslab;\n" + FAKES.replace("glasslab::", "::tch::")), 0),
        "writes without end": (before('loop { println!("{}", "x".repeat(100_000)); }'), 0),
        "fills the disk": (before(
            'let all = vec![1_u8; 10_000_000];\nfor number in 0.. { if std::fs::write(format!("big{number}"), &all).is_err() '
            '{ println!("full after {number}"); break; } }'), 0),
        "removes its notebook": (before('println!("{:?}", std::fs::remove_dir_all("/learner"));'), 0),
        "is no JSON": (b"{this is not a notebook", 0),
        "has no tests": (without(solve(notebook, encode=RIGHT["encode"]), lambda cell: not is_test(cell)), 1),
        "has other tests": (_tests_as(solve(notebook, encode=RIGHT["encode"]), f'println!("{PASSING}");'), 1),
        "has one test many times": (_twice(solve(notebook, encode=RIGHT["encode"])), 1),
        "kills its process": (before(kill + "unsafe { kill(0, 9); }"), 0),
        "kills the kernel later": (insert(solve(notebook, encode=RIGHT["encode"]), kill + "unsafe { kill(getppid(), 9); }", behind), 1),
        "kills its parent": (before(kill + "unsafe { kill(getppid(), 9); }"), 0),
        "kills all": (before(kill + "unsafe { kill(-1, 9); }"), 0),
        "uses the network": (before(
            'println!("{:?}", std::net::TcpStream::connect_timeout(&"192.0.2.1:80".parse()?, std::time::Duration::from_secs(2)).is_ok());'), 0),
        "by rote": (solve(notebook, encode=rote), 0),
        # It is the answer; the table tells whose.
        "asks the library": (solve(notebook, encode="check::reference::encode(text)"), 1),
    }


def _tests_as(notebook: dict, source: str) -> dict:
    made = copy.deepcopy(notebook)
    for cell in filter(is_test, made["cells"]):
        cell["source"] = source
    return made


def _twice(notebook: dict) -> dict:
    made = copy.deepcopy(notebook)
    first = next(cell for cell in made["cells"] if is_test(cell))
    made["cells"] += [{**copy.deepcopy(first), "id": f"again-{number}"} for number in range(5)]
    return made
