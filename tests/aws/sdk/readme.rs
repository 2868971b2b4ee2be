//! What the README shows is the example that is compiled.

#[test]
fn the_snippet_of_the_readme_is_the_example() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme
        .split_once("## In-process AWS SDK")
        .expect("the README has the section");
    let (_, snippet) = section.split_once("```rs\n").expect("it has a snippet");
    let (snippet, _) = snippet.split_once("```").expect("the snippet ends");
    let example = include_str!("../examples/in_process.rs");
    assert!(
        unindented(example).contains(&unindented(snippet)),
        "the example has not:\n{snippet}"
    );
    assert!(snippet.contains("brooklet::aws::config(&registry)"));
}

fn unindented(text: &str) -> String {
    text.lines()
        .map(|line| line.trim().to_owned() + "\n")
        .collect()
}
