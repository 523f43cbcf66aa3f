// Runs, measurements and claims files, small enough to check verdicts by hand.
#pragma once

#include <fstream>

#include "catch.h"
#include "compare/claims.h"
#include "finished_run.h"
#include "results/evaluation_file.h"

namespace attnlab::test {

struct RunSpec {
  std::string arm;
  int64_t seed = 0;
  double training_loss = 1, heldout_loss = 1, accuracy = 0.5;
  std::string experiment = "e", sweep_point = "";
  double max_logit_difference = 1e-5;
};

inline RunRecord claim_run(const RunSpec& spec) {
  RunRecord run = finished_run({.experiment = spec.experiment,
                                .arm = spec.arm,
                                .sweep_point = spec.sweep_point,
                                .arm_index = spec.arm == "gqa" ? 0 : 1,
                                .seed = spec.seed,
                                .parameters_total = 2'700'000,
                                .parameters_trainable = 70'000,
                                .provenance = {{"device_name", std::string("a card")}},
                                .conversion = {{"max_logit_difference", spec.max_logit_difference}}},
                               20);
  run.train.push_back({.step = 20, .tokens = 200'000, .loss = spec.training_loss});
  run.evaluations.push_back({.step = 20,
                             .heldout_loss = spec.heldout_loss,
                             .heldout_tokens = 9,
                             .accuracy = spec.accuracy,
                             .problems = 40});
  add_answers(run, 20, 40, spec.accuracy);
  return run;
}

// gqa at a held-out loss of 1 with each seed, and another arm with these losses.
inline std::vector<RunRecord> arm_against_gqa(const std::string& arm, const std::vector<double>& losses,
                                              const std::string& experiment = "e") {
  std::vector<RunRecord> runs;
  for (size_t i = 0; i < losses.size(); ++i) {
    const auto seed = static_cast<int64_t>(i);
    runs.push_back(claim_run({.arm = "gqa", .seed = seed, .experiment = experiment}));
    runs.push_back(claim_run({.arm = arm, .seed = seed, .heldout_loss = losses[i], .experiment = experiment}));
  }
  return runs;
}

// A claim with the tests given as YAML items ("- runs: {...}\n- ...").
inline std::string claim_text(const std::string& id, const std::string& tests) {
  std::string text =
      "- id: " + id + "\n  sentence: S\n  source: P\n  claimed: C\n  needed: N\n  command: M\n  test:\n";
  std::string line;
  for (std::istringstream lines(tests); std::getline(lines, line);) text += "    " + line + "\n";
  return text;
}

inline std::vector<ClaimResult> judge_text(const std::string& text, const std::vector<RunRecord>& runs,
                                           const std::vector<Measurements>& measured = {}) {
  TemporaryFolder folder;
  const auto file = folder.path() / "claims.yaml";
  std::ofstream(file) << text;
  return judge_claims(file, {runs, measured});
}

// The one claim that these tests make.
inline ClaimResult judge_tests(const std::string& tests, const std::vector<RunRecord>& runs,
                               const std::vector<Measurements>& measured = {}) {
  const auto claims = judge_text(claim_text("c", tests), runs, measured);
  REQUIRE(claims.size() == 1);
  return claims[0];
}

}  // namespace attnlab::test
