use super::*;
use crate::model::{Mine, MlpConfig, MlpLm, TransformerConfig, TransformerLm};
use crate::trace::tests::awake;
use crate::view::Film;
use tch::{Device, Kind, Tensor};

fn small() -> TransformerLm {
    awake(TransformerConfig::small())
}

fn html(page: &Page) -> String {
    page.html("mine").unwrap()
}

fn data(html: &str) -> Value {
    let start = html.find("id=\"glasslab-data\">").unwrap() + "id=\"glasslab-data\">".len();
    serde_json::from_str(&html[start..start + html[start..].find("</script>").unwrap()]).unwrap()
}

fn bytes(base64: &str) -> Vec<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let six = |letter: &u8| letters.iter().position(|other| other == letter).unwrap_or(0) as u32;
    let groups = base64.as_bytes().chunks(4);
    groups
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, letter| bits << 6 | six(letter));
            [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
        })
        .collect()
}

#[test]
fn the_numbers_of_a_page_are_the_models_in_16_bits() {
    let model = small();
    let page = html(&Page::new(&model).unwrap());
    let data = &data(&page)["models"][0];
    assert_eq!((&data["kind"], &data["about"]["n_layers"]), (&json!("f16"), &json!(3)));
    let numbers = bytes(data["numbers"].as_str().unwrap());
    for (parameter, told) in model.parameters().iter().zip(data["parameters"].as_array().unwrap()) {
        assert_eq!((&json!(parameter.name), &json!(parameter.tensor.size())), (&told["name"], &told["shape"]));
        let at = 2 * told["at"].as_u64().unwrap() as usize;
        let half = Tensor::from_data_size(
            &numbers[at..at + 2 * parameter.tensor.numel()],
            &parameter.tensor.size(),
            Kind::Half,
        );
        assert_eq!(half, parameter.tensor.detach().to_kind(Kind::Half), "{}", parameter.name);
    }
}

#[test]
fn a_small_model_takes_less_than_2_mb_with_everything_and_16_bits_hardly_change_it() {
    let (model, mlp) = (small(), MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap());
    let mut film = Film::new("Once upon a time, there was a little girl named Lily. She");
    (0..3).for_each(|step| film.take(&model, step).unwrap());
    let reel = film.reel(&crate::train::History::default()).unwrap();
    let fewer = TransformerLm::new(TransformerConfig { n_layers: 2, ..model.config }, Device::Cpu).unwrap();
    for other in [Page::new(&mlp), Page::new(&fewer)] {
        let wrong = other.unwrap().film(reel.clone()).write("film.html").unwrap_err().to_string();
        assert!(wrong.contains("of 3 layers of 4 heads over each character is of another training"), "{wrong}");
    }
    let page = Page::new(&mlp).unwrap().beside(&model).unwrap().film(reel);
    let html = html(&page);
    assert!(html.len() < 2_000_000, "{}", html.len());
    assert!(Page::new(&model).unwrap().loss_change.unwrap().abs() < 0.005);
    let data = data(&html);
    let kinds: Vec<&str> =
        data["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["transformer", "MLP"], "what has a context comes first");
    assert_eq!(data["film"]["frames"].as_array().unwrap().len(), 3);
    assert!(page.beside(&mlp).unwrap_err().to_string().contains("two models at most"));
    let two_of_one_kind = Page::new(&model).unwrap().beside(&small()).unwrap_err().to_string();
    assert!(two_of_one_kind.contains("stands an MLP"), "{two_of_one_kind}");
}

#[test]
fn a_number_that_16_bits_cannot_hold_keeps_all_in_32() {
    let model = small();
    {
        let _guard = tch::no_grad_guard();
        let _ = model.embedding.narrow(0, 7, 1).fill_(1e5);
    }
    let page = Page::new(&model).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(page.write(folder.path().join("wide.html")).unwrap().to_string().contains("numbers of 32 bits"));
    let told = &data(&html(&page))["models"][0];
    assert_eq!(told["kind"], "f32");
    let numbers = bytes(told["numbers"].as_str().unwrap());
    assert_eq!(f32::from_le_bytes(numbers[4 * 7 * 96..][..4].try_into().unwrap()), 1e5);
}

#[test]
fn hostile_words_are_data() {
    let hostile = "</script><script>alert(1)</script>{{data}}<img src=x onerror=alert(2)>";
    let plain = html(&Page::new(&small()).unwrap());
    let page = Page::new(&small()).unwrap().prompt(hostile).html(hostile).unwrap();
    assert_eq!(page.matches("<script").count(), plain.matches("<script").count());
    assert!(!page.contains("<img src=x") && !page.contains("alert(1)</script>"));
    let data = data(&page);
    assert_eq!((&data["title"], &data["prompt"]), (&json!(hostile), &json!(hostile)));
}

#[test]
fn nothing_comes_from_elsewhere_and_the_page_forbids_it() {
    let page = html(&Page::new(&small()).unwrap());
    assert!(page.contains("content=\"default-src 'none'; script-src 'nonce-"));
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "fetch(", "XMLHttpRequest", "WebSocket"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Without scripts, there are pictures and words.
    assert!(page.contains("What the transformer writes") && page.contains("alt=\"layer 2, head 3\""));
}

#[test]
fn a_model_too_large_gets_still_pictures_and_says_why() {
    let config =
        TransformerConfig { emb_dim: 768, n_hidden: 3072, head_dim: 192, n_layers: 1, ..TransformerConfig::small() };
    let model = TransformerLm::new(config, Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = model.page(folder.path().join("large.html")).unwrap();
    assert!(!written.computes && written.numbers > MOST_NUMBERS);
    // Nothing of it is computed or copied that the page does not show.
    let page = Page::new(&model).unwrap();
    assert_eq!(page.loss_change, None);
    assert_eq!(page.models[0].parameters()[0].tensor.data_ptr(), model.embedding.data_ptr());
    assert!(written.to_string().contains("still pictures only"), "{written}");
    let page = std::fs::read_to_string(&written.path).unwrap();
    assert!(page.len() < 500_000 && page.contains("These are still pictures") && data(&page).is_null());
}

#[test]
fn a_model_of_few_characters_becomes_a_page_without_that_measure() {
    let config = TransformerConfig { n_vocab: 64, ..TransformerConfig::original() };
    let page = Page::new(&awake(config)).unwrap().prompt("1 + 1 = 2");
    assert!(page.loss_change.is_none() && html(&page).contains("1 + 1 = 2"));
}

#[test]
fn what_can_t_be_a_page_is_told() {
    let own = Page::new(&Mine::new()).unwrap_err().to_string();
    assert!(own.contains("struct of your own") && own.contains("explore()"), "{own}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.html");
    std::fs::write(&path, "as it was").unwrap();
    let ending = small().page(path.with_extension("txt")).unwrap_err().to_string();
    assert!(ending.contains("mine.html"), "{ending}");
    assert!(Page::new(&small()).unwrap().prompt("").write(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "as it was");
    let broken = small();
    {
        let _guard = tch::no_grad_guard();
        let _ = broken.embedding.shallow_clone().fill_(f64::NAN);
    }
    assert!(broken.page(&path).unwrap_err().to_string().contains("train it again"));
}
