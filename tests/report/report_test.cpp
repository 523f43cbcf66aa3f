#include "report/report.h"

#include <regex>
#include <stack>

#include "core/errors.h"
#include "core/files.h"
#include "report/sample_results.h"

using namespace attnlab;

namespace {

std::string page_of(const std::filesystem::path& folder, ReportInput input = {}) {
  input.runs = read_runs(folder, true);
  return make_report(std::move(input));
}

// The page without <script> and <style> and what is in them: std::regex would call itself for each character.
std::string without_scripts(std::string page) {
  for (const std::string name : {"script", "style"})
    for (size_t begin = page.find('<' + name); begin != std::string::npos;
         begin = page.find('<' + name, begin)) {
      const std::string end = "</" + name + '>';
      const size_t last = page.find(end, begin);
      page.erase(begin, last == std::string::npos ? last : last + end.size() - begin);
    }
  return page;
}

// The first element that is closed out of turn or not at all; "" if there is none.
std::string wrongly_nested(const std::string& page) {
  std::stack<std::string> open;
  const std::regex tag("<(/?)([a-z0-9]+)[^>]*>");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), tag); it != std::sregex_iterator(); ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || name == "img") continue;
    if ((*it)[1].length() == 0) {
      open.push(name);
    } else if (open.empty() || open.top() != name) {
      return name;
    } else {
      open.pop();
    }
  }
  return open.empty() ? "" : open.top();
}

int level_jumps(const std::string& page) {
  int level = 0, jumps = 0;
  const std::regex heading("<h([1-6])");
  for (auto it = std::sregex_iterator(page.begin(), page.end(), heading); it != std::sregex_iterator(); ++it) {
    const int next = std::stoi((*it)[1]);
    jumps += next > level + 1;
    level = next;
  }
  return jumps;
}

}  // namespace

TEST_CASE("the page has every section, in order, and the contents point at them") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  const std::string page = page_of(folder.path());
  CHECK(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
  size_t last = 0;
  for (const char* id : {"claims", "verdicts", "curves", "samples", "measurements", "figures", "provenance"}) {
    const size_t place = page.find(std::string("<section id=\"") + id + "\"");
    REQUIRE(place != std::string::npos);
    CHECK(place > last);
    CHECK_THAT(page, ContainsSubstring(std::string("href=\"#") + id + "\""));
    last = place;
  }
}

TEST_CASE("elements are nested and headings go down one level at a time") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  const std::string page = without_scripts(page_of(folder.path()));
  CHECK(wrongly_nested(page).empty());
  CHECK(level_jumps(page) == 0);
  CHECK(wrongly_nested("<p><b></p></b>") == "p");
  CHECK(level_jumps("<h1><h3>") == 1);
}

TEST_CASE("hostile texts of prompts, replies, arms and titles stay texts") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path(), {}, "mla<img src=x>\"'");
  const std::string page = page_of(folder.path(), {.title = test::hostile});
  CHECK(page.find("<img") == std::string::npos);
  CHECK(page.find("<!--") == std::string::npos);
  CHECK_THAT(page, ContainsSubstring("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &quot;quoted&quot;"));
  CHECK(wrongly_nested(without_scripts(page)).empty());
}

TEST_CASE("equal input gives equal bytes") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  CHECK(page_of(folder.path()) == page_of(folder.path()));
}

TEST_CASE("the page fetches nothing") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path(), {.hostile_texts = false});
  const std::string page = page_of(folder.path());
  CHECK_THAT(page, ContainsSubstring("default-src &#39;none&#39;"));
  CHECK(std::regex_search("<img src=\"http://x\">", std::regex("(src|href)=\"(?!#|data:)")));
  CHECK_FALSE(std::regex_search(page, std::regex("(src|href)=\"(?!#|data:)")));
  CHECK(page.find("@import") == std::string::npos);
  CHECK(page.find("url(") == std::string::npos);
}

TEST_CASE("the head tells experiments, arms, seeds, devices and the runs' own dates") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  const std::string page = page_of(folder.path());
  CHECK_THAT(page, ContainsSubstring("<h1>Report: sample</h1>"));
  CHECK_THAT(page,
             ContainsSubstring("4 runs of 1 experiment and 0 files of measurements. Computed on: Some CPU "
                               "&lt;fast&gt;. From 2026-11-21 to 2026-11-22."));
  CHECK_THAT(page, ContainsSubstring("gqa, mla"));
  CHECK_THAT(page, ContainsSubstring("4 finished"));
}

TEST_CASE("verdicts of losses and tasks are told, and unfinished runs named") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  test::write_result(folder.path(), {.arm = "mla", .arm_index = 1, .seed = 7, .state = RunState::failed});
  const std::string page = page_of(folder.path());
  CHECK_THAT(page, ContainsSubstring("sample: difference to gqa"));
  CHECK_THAT(page, ContainsSubstring("code_functions, lm_eval:"));
  CHECK_THAT(page, ContainsSubstring("Warning: "));
  CHECK_THAT(page, ContainsSubstring("1 failed"));
}

TEST_CASE("configs show the first arm whole and the others as differences") {
  const test::TemporaryFolder folder;
  test::write_results(folder.path());
  const std::string page = page_of(folder.path());
  CHECK_THAT(page, ContainsSubstring("experiment: sample\narm:\n  name: gqa\n"));
  CHECK_THAT(page, ContainsSubstring("<li>train.lr: 0.0002 against 0.0001</li>"));
  CHECK_THAT(page, ContainsSubstring("<th scope=\"row\">torch</th><td class=\"words long\">2.13.0</td>"));
  CHECK_THAT(page, ContainsSubstring("2026-11-21T10:00:00Z: gqa seed 0, mla seed 0"));
  CHECK_THAT(page, ContainsSubstring("2.5e-05"));
}

TEST_CASE("what is missing is told in a sentence") {
  const std::string nothing = make_report({});
  for (const char* sentence :
       {"No claims were judged", "No runs were given, so there are no arms to compare",
        "No runs were given, so there are no curves", "No runs were given, so there are no replies",
        "No measurements", "No figures were given", "No runs and no measurements were given"})
    CHECK_THAT(nothing, ContainsSubstring(sentence));
  const test::TemporaryFolder folder;
  RunWriter::create(folder.path() / "seed0.h5", {.experiment = "bare", .arm = "gqa"});
  const std::string bare = page_of(folder.path());
  for (const char* sentence :
       {"No run of this experiment is finished yet", "No run of bare has a training loss",
        "No run of bare has a held-out loss", "there is nothing to lay side by side",
        "hold no report of a conversion", "tell nothing of where they come from"})
    CHECK_THAT(bare, ContainsSubstring(sentence));
}

TEST_CASE("measurements are shown, of fits the last step") {
  const std::string page = make_report({.measured = {test::sample_measurements("x.measured.h5")}});
  CHECK_THAT(page, ContainsSubstring("x.measured.h5: conversions"));
  CHECK_THAT(page, ContainsSubstring("<td>8192</td>"));
  CHECK_THAT(page, ContainsSubstring("<td>0.125</td>"));
  CHECK(page.find("<td>0.5</td>") == std::string::npos);
  CHECK_THAT(page, ContainsSubstring("measure &lt;all&gt;"));
}

TEST_CASE("figures are inside the page, with the first 200 rows of their numbers") {
  const test::TemporaryFolder folder;
  write_file_atomic(folder.path() / "loss.svg", "<svg/>");
  std::string csv = "step,loss\n";
  for (int i = 0; i < 250; ++i) csv += std::to_string(1000 + i) + ",0.5\n";
  write_file_atomic(folder.path() / "loss.csv", csv);
  const std::string page = make_report({.figures = folder.path()});
  CHECK_THAT(page, ContainsSubstring("src=\"data:image/svg+xml;base64,PHN2Zy8+\""));
  CHECK_THAT(page, ContainsSubstring(">1199</th>"));
  CHECK(page.find(">1200</th>") == std::string::npos);
  CHECK_THAT(page, ContainsSubstring("50 more rows are in loss.csv"));
  CHECK_THROWS_WITH(make_report({.figures = folder.path() / "none"}),
                    ContainsSubstring("expected a folder with NAME.svg"));
}

TEST_CASE("the head lists parameters in the order of the arms") {
  const test::TemporaryFolder folder;
  test::write_result(folder.path(), {.arm = "z_first"});
  test::write_result(folder.path(), {.arm = "a_second", .arm_index = 1});
  auto runs = read_runs(folder.path(), true);
  for (auto& run : runs) run.header.parameters_total = run.header.arm == "z_first" ? 1'000'000 : 2'000'000;
  ReportInput input;
  input.runs = std::move(runs);
  const std::string page = make_report(std::move(input));
  CHECK_THAT(page, ContainsSubstring("z_first, a_second") && ContainsSubstring("1.00M, 2.00M"));
}
