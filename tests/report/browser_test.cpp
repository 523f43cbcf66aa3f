// The page in a browser: needs Chromium.
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "report/report.h"
#include "report/sample_results.h"

using namespace attnlab;

namespace {

std::string chromium() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"})
    if (std::system((std::string("command -v ") + name + " >/dev/null 2>&1").c_str()) == 0) return name;
  return "";
}

// What the page's first chart says while a script acts on it, as JSON: {"before": …, "hover": …, …}.
const char* const actions = R"js(<script>
addEventListener("load", () => {
  const found = {}, figure = document.querySelector("figure.chart"), svg = figure.querySelector(".plot svg");
  const tip = () => figure.querySelector(".tip").hidden ? "" : figure.querySelector(".tip").textContent;
  const texts = () => [...svg.querySelectorAll("text")].map((node) => node.textContent).join(" ");
  const box = svg.getBoundingClientRect();
  const act = (type, share) => svg.dispatchEvent(new PointerEvent(type,
    { bubbles: true, clientX: box.left + share * box.width, clientY: box.top + 50, button: 0, pointerType: "mouse" }));
  const key = (name) => svg.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  found.before = tip();
  act("pointermove", 0.5); found.hover = tip();
  found.ticks = texts();
  act("pointerdown", 0.4); act("pointermove", 0.6); act("pointerup", 0.6); found.zoomed = texts();
  svg.dispatchEvent(new MouseEvent("dblclick")); found.back = texts();
  act("pointerleave", 0.5); found.left = tip();
  key("End"); found.end = tip();
  key("ArrowLeft"); found.previous = tip();
  key("Escape"); found.escaped = tip();
  figure.querySelector(".unit-tokens").click(); found.tokens = texts();
  figure.querySelector(".shown-difference").click(); key("Home"); found.difference = tip();
  figure.querySelector(".shown-value").click();
  figure.querySelectorAll(".legend button")[0].click(); key("Home"); found.hidden = tip();
  found.hostile = document.images.length;
  document.title = JSON.stringify(found);
});
</script>)js";

}  // namespace

TEST_CASE("charts tell values under the pointer, zoom, switch their axes and hide arms") {
  if (chromium().empty()) SKIP_TEST("Chromium is not here");
  const test::TemporaryFolder folder;
  test::write_results(folder.path() / "results");
  std::string page = make_report({.runs = read_runs(folder.path() / "results", true)});
  page.insert(page.rfind("</body>"), actions);
  const auto file = folder.path() / "page.html", dom = folder.path() / "dom.html";
  write_file_atomic(file, page);
  const std::string command =
      chromium() + " --headless --no-sandbox --disable-gpu --virtual-time-budget=5000 --user-data-dir=" +
      (folder.path() / "profile").string() + " --dump-dom file://" + file.string() + " >" + dom.string() +
      " 2>/dev/null </dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string loaded = read_file(dom);
  const size_t begin = loaded.find("<title>") + 7;
  const auto found =
      nlohmann::json::parse(loaded.substr(begin, loaded.find("</title>") - begin), nullptr, false);
  INFO(found.dump());
  REQUIRE(found.is_object());
  const auto said = [&](const char* name) { return found[name].get<std::string>(); };
  CHECK(said("before").empty());
  for (const char* words : {"steps", "gqa", "mla", "["}) CHECK_THAT(said("hover"), ContainsSubstring(words));
  CHECK(said("zoomed") != said("ticks"));
  CHECK(said("back") == said("ticks"));
  CHECK(said("left").empty());
  CHECK_THAT(said("end"), ContainsSubstring("60 steps"));
  CHECK_THAT(said("previous"), ContainsSubstring("59 steps"));
  CHECK(said("escaped").empty());
  CHECK_THAT(said("tokens"), ContainsSubstring("tokens"));
  CHECK_THAT(said("difference"), ContainsSubstring("-0.01"));
  CHECK(said("hidden").find("gqa") == std::string::npos);
  CHECK(found["hostile"] == 0);
}
