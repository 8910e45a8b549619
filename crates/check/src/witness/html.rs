//! Verdicts and witnesses as one page that needs nothing else.

use super::svg::{escape, svg};
use super::{distinct, reasons};
use crate::{Finding, History, Verdict};
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}\
code{font:13px ui-monospace,Menlo,Consolas,monospace}.valid{color:#2e7d32}.invalid{color:#c62828}.unknown{color:#c77700}\
figure{margin:1rem 0;overflow-x:auto;border:1px solid #8884;border-radius:8px}tr.on,.o.on rect{outline:2px solid #3f6ad8}.o.on rect{stroke-width:3}";

/// Marks an operation in picture and table together.
const SCRIPT: &str = "\
document.querySelectorAll('section').forEach(s=>s.querySelectorAll('[data-n]').forEach(e=>{\
const all=()=>s.querySelectorAll('[data-n=\"'+e.dataset.n+'\"]');\
e.onmouseenter=()=>all().forEach(x=>x.classList.add('on'));e.onmouseleave=()=>all().forEach(x=>x.classList.remove('on'))}))";

/// One page with the verdict of every model, and the picture of every witness once.
pub fn html(history: &History, title: &str, findings: &[Finding]) -> String {
    let mut out = String::new();
    let mut put = |text: &str| out.push_str(text);
    let title = escape(title);
    put(&format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{} operations of {} sessions on a {}.</p>\n<table>\n",
        history.len(),
        history.counts().2,
        history.object().word()
    ));
    for Finding { model, verdict, .. } in findings {
        let (word, note) = match verdict {
            Verdict::Valid => ("valid", String::new()),
            Verdict::Invalid(witness) => ("invalid", witness.anomaly.word().to_string()),
            Verdict::Unknown(spent) => ("unknown", spent.to_string()),
        };
        put(&format!("<tr><td>{}</td><td class=\"{word}\">{word}</td><td>{}</td></tr>\n", model, escape(&note)));
    }
    put("</table>\n");
    for (model, witness) in distinct(findings) {
        put(&format!("<section>\n<h2>{} breaks {}</h2>\n", escape(witness.anomaly.word()), model));
        put(&format!(
            "<p>{}</p>\n<figure>{}</figure>\n<table>\n",
            escape(witness.anomaly.meaning()),
            svg(history, model, witness)
        ));
        put("<tr><th></th><th>session</th><th>operation</th><th>line</th></tr>\n");
        for (at, &id) in witness.operations.iter().enumerate() {
            let operation = history.operation(id);
            let line = if operation.line == 0 { String::new() } else { operation.line.to_string() };
            put(&format!(
                "<tr data-n=\"{n}\"><td>{n}</td><td>{}</td><td><code>{}</code></td><td>{line}</td></tr>\n",
                escape(&history.session(operation.session).to_string()),
                escape(&history.describe(id)),
                n = at + 1
            ));
        }
        put("</table>\n<ul>\n");
        for reason in reasons(history, witness) {
            put(&format!("<li>{}</li>\n", escape(&reason)));
        }
        put("</ul>\n</section>\n");
    }
    write!(out, "<script>{SCRIPT}</script>\n</body></html>\n").expect("a string takes it");
    out
}
