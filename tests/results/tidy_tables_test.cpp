#include "results/tidy_tables.h"

#include <cmath>
#include <sstream>

#include "catch.h"
#include "results/evaluation_file.h"
#include "sample_run.h"

namespace attnlab {
namespace {

std::vector<std::string> lines_of(const TidyTable& table) {
  std::vector<std::string> lines;
  std::istringstream stream(table.csv);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<RunRecord> sample_runs(const std::filesystem::path& folder) {
  RunRecord a, b;
  a.header = test::sample_header();
  a.header.config = {{"train.lr", 1e-3}, {"name", std::string("a, \"b\"")}, {"on", true}};
  a.header.conversion = {{"kl", 0.5}};
  a.train = {test::sample_train(1), test::sample_train(2)};
  a.evaluations = {test::sample_evaluation(2)};
  a.state = RunState::complete;
  a.last_step = 2;
  a.path = folder / "seed7.h5";
  b.header = {.experiment = "e", .arm = "gqa", .seed = 1, .config = {{"rank", int64_t{8}}}};
  b.train = {{.step = 1, .loss = -std::nan("")}};
  b.path = folder / "seed1.h5";
  write_evaluation(tasks_file(a.path, 2), {.scores = {{.task = "gsm8k",
                                                       .protocol = "strict",
                                                       .metric = "accuracy",
                                                       .value = 0.5,
                                                       .low = std::nan(""),
                                                       .high = std::nan(""),
                                                       .n = 4}}});
  return {a, b};
}

TEST_CASE("rows carry the run that they are of, and numbers read back exactly") {
  const test::TemporaryFolder folder;
  const auto tables = tidy_tables(sample_runs(folder.path()));
  REQUIRE(tables.size() == 5);
  const auto train = lines_of(tables[1]), evaluations = lines_of(tables[2]), tasks = lines_of(tables[3]);
  CHECK(tables[1].name == "train");
  REQUIRE(train.size() == 4);
  CHECK(
      train[0] ==
      "experiment,arm,sweep_point,seed,step,tokens,loss,learning_rate,gradient_norm,tokens_per_second,seconds");
  CHECK(train[2].starts_with("quickstart,mla_orthogonal,train.lr=0.001,7,2,8192,"));
  CHECK(std::stod(train[2].substr(std::string("quickstart,mla_orthogonal,train.lr=0.001,7,2,8192,").size())) ==
        test::sample_train(2).loss);
  CHECK(train[3] == "e,gqa,,1,1,0,nan,0,0,0,0");
  REQUIRE(evaluations.size() == 2);
  CHECK(evaluations[1].ends_with(",1000,0.3333333333333333,1,3,0.25"));
  REQUIRE(tasks.size() == 2);
  CHECK(tasks[0] == "experiment,arm,sweep_point,seed,step,n,value,low,high,task,protocol,metric");
  CHECK(tasks[1] == "quickstart,mla_orthogonal,train.lr=0.001,7,2,4,0.5,nan,nan,gsm8k,strict,accuracy");
}

TEST_CASE("the table of runs has the keys of all, empty where a run lacks one, and quotes what it must") {
  const test::TemporaryFolder folder;
  const auto runs = lines_of(tidy_tables(sample_runs(folder.path()))[0]);
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].starts_with("experiment,arm,sweep_point,seed,variant,arm_index,state,last_step,message,"));
  CHECK(runs[0].ends_with(
      ",config.train.lr,config.name,config.on,config.rank,provenance.git,provenance.threads,conversion.kl"));
  CHECK_THAT(runs[1], ContainsSubstring(",complete,2,,3000001,70000,128,,,6100000,"));
  CHECK(runs[1].ends_with(",0.001,\"a, \"\"b\"\"\",true,,abc,2,0.5"));
  CHECK_THAT(runs[2], ContainsSubstring(",running,0,"));
  CHECK(runs[2].ends_with(",,,,8,,,"));
}

TEST_CASE("the help names the columns") {
  CHECK_THAT(describe_tidy_tables(),
             ContainsSubstring("tasks.csv: experiment,arm,sweep_point,seed,step,n,value"));
}

}  // namespace
}  // namespace attnlab
