// Arms of a given cache.
#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

std::string form_of(const RunHeader& header) {
  for (const auto& [key, value] : header.provenance)
    if (key == "form") return std::get<std::string>(value);
  return "";
}

TEST_CASE("an arm's ranks follow from its share of the base's cache, or from numbers a token") {
  for (const std::string size : {"cache=0.5", "cached_numbers=8"}) {
    INFO(size);
    const TinyExperiment experiment;
    const auto ran = experiment.run("--set train.steps=1 --set arms.orthogonal." + size);
    INFO(ran.output);
    REQUIRE(ran.code == 0);
    const RunHeader header = read_run_header(experiment.file("orthogonal")).header;
    CHECK(header.cached_numbers_per_token == 8);  // of 16
    CHECK(form_of(header) == "mla_orthogonal (rank 2)");
    CHECK_THAT(ran.output, ContainsSubstring("converted to mla_orthogonal (rank 2)"));
  }
}

TEST_CASE("a cache that an arm can't have is refused before anything is written") {
  const TinyExperiment experiment;
  const auto refused = [&](const std::string& settings, const std::string& what) {
    const auto ran = experiment.run(settings);
    INFO(ran.output);
    CHECK(ran.code == 2);
    CHECK_THAT(ran.output, ContainsSubstring(what));
    CHECK_FALSE(std::filesystem::exists(experiment.out));
  };
  refused("--set arms.orthogonal.cache=1.5", "arms.orthogonal.cache: found '1.5'");
  refused("--set arms.orthogonal.cache=0.01", "arms.orthogonal.cache: found 0 numbers a token and layer");
  refused("--set arms.orthogonal.cache=0.5 --set arms.orthogonal.cached_numbers=8",
          "arms.orthogonal.cached_numbers: found '8' beside cache");
  refused("--set arms.orthogonal.cache=0.5 --set arms.orthogonal.options.rank=1",
          "arms.orthogonal.options.rank: found 1 beside cache");
  refused("--set arms.gqa.cache=0.5", "which gqa needs");
}

}  // namespace
}  // namespace attnlab
