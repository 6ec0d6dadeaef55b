//! From a chat template, which is a program, to the pieces that it writes between the messages of a conversation.
//!
//! The template is run on conversations of marked messages; what stands between the marks are the pieces. Then it is run on
//! others, and must write what the pieces do: a template that does anything else is told, and not guessed at.

use glasslab::tokenizer::{ChatFormat, Vocabulary};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Messages that no template has in it, and of which none is a part of another.
const MARKS: [&str; 6] = ["MARK-zero-", "MARK-one-", "MARK-two-", "MARK-three-", "MARK-four-", "MARK-five-"];
/// What a template may compute before it is given up, how long it may be, and how deep what it says may lie in itself.
const FUEL: u64 = 200_000;
const LONGEST: usize = 1 << 16;
const STACK: usize = 1 << 29;

/// The format of a template.
///
/// # Errors
/// Why there is none, as the end of a sentence about the template.
pub(super) fn format(template: &str, special: &Tokens) -> Result<ChatFormat, String> {
    if template.len() > LONGEST {
        return Err(format!("is {} bytes long, more than {LONGEST}", template.len()));
    }
    // What lies in itself a thousand times is gone through by functions that call themselves as often.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || of_program(template, special)).map_err(|error| error.to_string())?;
        thread.join().unwrap_or_else(|_| Err("can't be run".to_owned()))
    })
}

fn of_program(template: &str, special: &Tokens) -> Result<ChatFormat, String> {
    let program = Program::new(template, special)?;
    let [system, one, two, three, four, five] = MARKS;
    // What opens a conversation, and what stands between a question, its answer and the next.
    let first = program.run(None, &[one, two, three, four, five])?;
    let [opening, answer, next, answer_again, next_again, go_on] = between(&first, [one, two, three, four, five])?;
    if (&answer, &next) != (&answer_again, &next_again) {
        return Err("does not write all turns of a conversation alike".to_owned());
    }
    // A template may refuse a system message.
    let with_system = program.run(Some(system), &[one]).ok();
    let system = match with_system.map(|text| between(&text, [system, one])) {
        Some(Ok([before, after, end])) if end == go_on => Some((before, after)),
        _ => None,
    };
    let mut format = ChatFormat { opening, system, answer, go_on, next, trims: false };
    format.trims = program.run(None, &["  word \n"])? == format.text(None, &["word"]).unwrap_or_default();
    for messages in [&["Hello"][..], &["a", "b c", "d\n\ne"], &[" é🦀", "<b>", "x", "1", "y"]] {
        for system in [None, Some("Be kind.")].into_iter().take(1 + usize::from(format.system.is_some())) {
            if Ok(program.run(system, messages)?) != format.text(system, messages).map_err(|error| error.to_string()) {
                return Err("writes a conversation otherwise than by putting the same between its messages".to_owned());
            }
        }
    }
    Ok(format)
}

/// A template that writes what stands between messages: the way back.
pub(super) fn template(format: &ChatFormat) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string(); // Jinja writes texts as JSON does
    let content = if format.trims { "content | trim" } else { "content" };
    let system = match &format.system {
        Some((before, after)) => format!("{{{{- {} + (messages[0].{content}) + {} -}}}}", text(before), text(after)),
        None => "{{- raise_exception('this model knows no system message') -}}".to_owned(),
    };
    let (opening, answer) = (text(&format.opening), text(&format.answer));
    let (go_on, next) = (text(&format.go_on), text(&format.next));
    format!(
        "{{%- if messages[0].role == 'system' -%}}{system}{{%- set rest = messages[1:] -%}}{{%- else -%}}{{{{- {opening} -}}}}\
         {{%- set rest = messages -%}}{{%- endif -%}}{{%- for message in rest -%}}\
         {{%- if loop.index0 > 0 and loop.index0 % 2 == 0 -%}}{{{{- {next} -}}}}{{%- endif -%}}{{{{- message.{content} -}}}}\
         {{%- if loop.index0 % 2 == 0 and not loop.last -%}}{{{{- {answer} -}}}}{{%- endif -%}}\
         {{%- if loop.last and loop.index0 % 2 == 0 and add_generation_prompt -%}}{{{{- {go_on} -}}}}{{%- endif -%}}{{%- endfor -%}}"
    )
}

/// Tokens that templates name.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    /// `bos_token`
    pub begin: String,
    /// `eos_token`
    pub end: String,
}

impl Tokens {
    /// Those of these ids, or else those that the vocabulary begins and ends texts with.
    pub(super) fn of(vocabulary: &Vocabulary, begin: Option<u32>, end: Option<u32>) -> Tokens {
        let text = |id: Option<u32>| {
            let piece = id.and_then(|id| vocabulary.pieces.get(id as usize));
            piece.map(|piece| String::from_utf8_lossy(&piece.0).into_owned()).unwrap_or_default()
        };
        let (begin, end) = (begin.or(vocabulary.begin), end.or(vocabulary.ends.last().copied()));
        Tokens { begin: text(begin), end: text(end) }
    }
}

/// A template that can be run.
struct Program<'a> {
    environment: Environment<'a>,
    special: &'a Tokens,
}

impl<'a> Program<'a> {
    fn new(template: &'a str, special: &'a Tokens) -> Result<Program<'a>, String> {
        let mut environment = Environment::new();
        // As `transformers` sets Jinja up.
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(|error| why(&error))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |why: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        // A day that stays: a conversation should not change by itself.
        environment.add_function("strftime_now", |_: String| "26 Jul 2024");
        environment.add_filter("tojson", |value: &Value, _: Kwargs| {
            serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
        });
        environment.add_template("chat", template).map_err(|error| why(&error))?;
        Ok(Program { environment, special })
    }

    /// The text of a conversation, a person's message first, the model's next.
    fn run(&self, system: Option<&str>, messages: &[&str]) -> Result<String, String> {
        let message = |role: &str, content: &str| context! { role => role, content => content };
        let by_turns = messages.iter().zip(["user", "assistant"].into_iter().cycle());
        let mut all: Vec<Value> = system.map(|system| message("system", system)).into_iter().collect();
        all.extend(by_turns.map(|(content, role)| message(role, content)));
        let asks = messages.len() % 2 == 1;
        let told = context! {
            messages => all, add_generation_prompt => asks, bos_token => &self.special.begin, eos_token => &self.special.end,
            enable_thinking => false,
        };
        let template = self.environment.get_template("chat").map_err(|error| why(&error))?;
        template.render(told).map_err(|error| why(&error))
    }
}

fn why(error: &Error) -> String {
    format!("can't be run ({error})")
}

/// What stands before, between and behind marks.
fn between<const M: usize, const N: usize>(text: &str, marks: [&str; M]) -> Result<[String; N], String> {
    let mut rest = text;
    let mut parts = Vec::new();
    for mark in marks {
        let (before, after) = rest.split_once(mark).ok_or("leaves a message out")?;
        parts.push(before.to_owned());
        rest = after;
    }
    parts.push(rest.to_owned());
    parts.try_into().map_err(|_| "leaves a message out".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens { begin: "<s>".to_owned(), end: "</s>".to_owned() }
    }

    fn of(template: &str) -> Result<ChatFormat, String> {
        format(template, &tokens())
    }

    fn text(template: &str, system: Option<&str>) -> String {
        of(template).unwrap().text(system, &["Hello", "Hi", "Bye"]).unwrap()
    }

    #[test]
    fn the_same_before_every_message_is_chat_ml() {
        let chat_ml = "{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}\
                       {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        assert_eq!(of(chat_ml).unwrap(), ChatFormat::chat_ml());
        // A system message of its own stands where none is given.
        let own =
            "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}";
        let format = of(&format!("{own}{chat_ml}")).unwrap();
        assert_eq!(format.opening, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n");
        assert!(format.text(Some("Sing."), &["La"]).unwrap().starts_with("<|im_start|>system\nSing.<|im_end|>\n"));
    }

    #[test]
    fn a_system_message_inside_of_the_first_message_is_found() {
        // As Llama 2 has it: what is set, parts of a list, methods of Python, and blanks taken away.
        let inside = "
            {%- if messages[0].role == 'system' -%}
                {%- set rest = messages[1:] %}{% set told = '<<SYS>>\n' + messages[0].content.strip() + '\n<</SYS>>\n\n' -%}
            {%- else -%}
                {%- set rest = messages %}{% set told = '' -%}
            {%- endif -%}
            {%- for message in rest -%}
                {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
                    {{- raise_exception('roles must take turns') -}}
                {%- endif -%}
                {%- if message.role == 'user' -%}
                    {{- bos_token + '[INST] ' + (told if loop.first else '') + message.content.strip() + ' [/INST]' -}}
                {%- else -%}
                    {{- ' ' + message.content.strip() + ' ' + eos_token -}}
                {%- endif -%}
            {%- endfor -%}";
        assert_eq!(text(inside, None), "<s>[INST] Hello [/INST] Hi </s><s>[INST] Bye [/INST]");
        let system = text(inside, Some("Sing."));
        assert_eq!(system, "<s>[INST] <<SYS>>\nSing.\n<</SYS>>\n\nHello [/INST] Hi </s><s>[INST] Bye [/INST]");
        assert!(of(inside).unwrap().trims);
    }

    #[test]
    fn a_template_that_refuses_system_messages_has_none() {
        // As Gemma has it: blocks on lines of their own, another name for the model, a filter.
        let refuses = r"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}
{% for message in messages %}
    {% if message['role'] == 'assistant' %}
        {% set role = 'model' %}
    {% else %}
        {% set role = message['role'] %}
    {% endif %}
    {{- '<turn>' + role + '\n' + (message['content'] | trim) + '<end>\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}";
        assert_eq!(
            text(refuses, None),
            "<s><turn>user\nHello<end>\n<turn>model\nHi<end>\n<turn>user\nBye<end>\n<turn>model\n"
        );
        assert!(of(refuses).unwrap().system.is_none());
    }

    #[test]
    fn what_is_written_for_others_is_read_as_the_same() {
        let plain = |system| {
            let [opening, answer, go_on, next] = ["Q: \"", " é\nA: ", "\nA:", "\n\\Q: "].map(str::to_owned);
            ChatFormat { opening, system, answer, go_on, next, trims: true }
        };
        let system = Some(("S: ".to_owned(), "\n".to_owned()));
        for format in [ChatFormat::chat_ml(), plain(None), plain(system)] {
            assert_eq!(of(&template(&format)).unwrap(), format);
        }
    }

    #[test]
    fn what_can_t_be_used_is_told_and_never_a_panic() {
        let deep = format!("{{{{ {}1 }}}}", "not ".repeat(15_000));
        let nested =
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}";
        let doubled = "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}";
        for hostile in [&deep[..], nested, doubled, &" ".repeat(70_000)] {
            assert!(of(hostile).is_err());
        }
        for (template, expected) in [
            ("{{ messages }}{% for", "can't be run"),
            ("{{ messages[0].content }}", "leaves a message out"),
            ("{% for i in range(1000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "can't be run"),
            ("{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}", "turns"),
            ("{% for m in messages %}|{{ m.content | upper }}{% endfor %}", "leaves a message out"),
            (
                "{% for m in messages %}|{{ m.content | replace('b', 'B') | replace('MARK', 'MARK') }}{% endfor %}",
                "otherwise",
            ),
            ("{{ unknown.thing.deep }}", "can't be run"),
            ("", "leaves a message out"),
        ] {
            let why = of(template).unwrap_err();
            assert!(why.contains(expected), "{template}: {why}");
        }
    }
}
