#include "report/report.h"

#include "report/page_parts.h"
#include "report/run_groups.h"
#include "report/sections.h"

namespace attnlab {
namespace report {
namespace {

Html contents() {
  const std::pair<const char*, const char*> entries[] = {
      {"claims", "Claims"},   {"verdicts", "Verdicts"},
      {"curves", "Curves"},   {"samples", "Where arms disagree"},
      {"noise", "Noise"},     {"measurements", "Measurements"},
      {"figures", "Figures"}, {"provenance", "Configs and provenance"}};
  Html items;
  for (const auto& [id, title] : entries)
    items += element("li", element("a", {{"href", std::string("#") + id}}, text(title)));
  return element("nav", {{"aria-label", "Contents"}}, element("ol", items)) + Html::trusted("\n");
}

std::string page_title(const std::string& given, const Experiments& experiments) {
  if (!given.empty()) return given;
  std::vector<std::string> names;
  for (const auto& experiment : experiments) names.push_back(experiment.name);
  return names.empty() ? "Report of measurements" : "Report: " + join(names);
}

// No resource comes from elsewhere: the policy has the browser refuse what a text might smuggle in.
Html head(const std::string& title) {
  return element(
      "head",
      void_element("meta", {{"charset", "utf-8"}}) +
          void_element("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}}) +
          void_element("meta", {{"name", "color-scheme"}, {"content", "light dark"}}) +
          void_element("meta", {{"http-equiv", "Content-Security-Policy"},
                                {"content",
                                 "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                                 "script-src 'unsafe-inline'"}}) +
          element("title", text(title)) + element("style", Html::trusted(report_css)));
}

}  // namespace
}  // namespace report

std::string make_report(ReportInput input) {
  using namespace report;
  const Experiments experiments = group_runs(std::move(input.runs));
  const std::string title = page_title(input.title, experiments);
  Html main = head_section(experiments, input.measured) + contents();
  main += claims_section(input.claims ? &*input.claims : nullptr);
  main += verdicts_section(experiments) + curves_section(experiments) + samples_section(experiments);
  main += noise_section(input.noise);
  main += measurements_section(input.measured) + figures_section(input.figures);
  main += provenance_section(experiments, input.measured);
  const Html body =
      element("body", element("header", element("h1", text(title))) + element("main", main) +
                          element("script", Html::trusted(std::string(curves_js) + curves_input_js)));
  return "<!DOCTYPE html>\n" +
         element("html", {{"lang", "en"}}, head(title) + Html::trusted("\n") + body).markup() + "\n";
}

}  // namespace attnlab
