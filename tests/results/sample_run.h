// A run with a bit of everything, and rows that are functions of their step.
#pragma once

#include <algorithm>
#include <cmath>

#include "results/run_file.h"

namespace attnlab::test {

inline RunHeader sample_header() {
  return {.experiment = "quickstart",
          .arm = "mla_orthogonal",
          .variant = "mla_orthogonal",
          .sweep_point = "train.lr=0.001",
          .arm_index = 2,
          .seed = 7,
          .parameters_total = 3'000'001,
          .parameters_trainable = 70'000,
          .cached_numbers_per_token = 128,
          .flops_per_token = 6.1e6,
          .config = {{"train.lr", 1e-3},
                     {"train.steps", int64_t{200}},
                     {"arms[0].name", std::string("gqa")},
                     {"eval.enabled", true},
                     {"eval.off", false},
                     {"empty", std::string()},
                     {"name", std::string("Größe")},
                     {"seeds", std::vector<int64_t>{0, 1, 2}},
                     {"rates", std::vector<double>{1e-3, 1.0 / 3}},
                     {"nothing", std::vector<std::string>{}},
                     {"patterns", std::vector<std::string>{"attn.*", "", "µ"}}},
          .provenance = {{"git", std::string("abc")}, {"threads", int64_t{2}}},
          .conversion = {},
          .resolved_yaml = "train:\n  lr: 0.001\n",
          .prompt_bytes = 40,
          .gold_bytes = 8,
          .output_bytes = 100};
}

// Losses that use all bits of a double.
inline TrainRow sample_train(int64_t step) {
  const double x = static_cast<double>(step);
  return {.step = step,
          .tokens = step * 4096,
          .loss = 1 + std::exp(-x / 50) / 3,
          .learning_rate = 1e-3 * std::cos(x / 1000),
          .gradient_norm = std::sqrt(x + 0.1),
          .tokens_per_second = 1e5 / 7,
          .seconds = x / 3};
}

inline EvaluationRow sample_evaluation(int64_t step) {
  return {.step = step,
          .heldout_loss = 2 + 1.0 / (3.0 + static_cast<double>(step)),
          .heldout_tokens = 1000,
          .accuracy = 1.0 / 3,
          .correct = 1,
          .problems = 3,
          .seconds = 0.25};
}

inline std::vector<ProblemRow> sample_problems(int64_t step) {
  std::vector<ProblemRow> rows;
  for (int64_t i = 0; i < 3; ++i)
    rows.push_back({.step = step,
                    .index = i,
                    .prompt = "Tom has " + std::to_string(i) + " €.",
                    .gold = std::to_string(i),
                    .output = "step " + std::to_string(step) + "\n#### " + std::to_string(i * i),
                    .extracted = std::to_string(i * i),
                    .correct = i * i == i});
  return rows;
}

// Equal in all bits of all fields; NaN equals NaN.
template <class Row>
bool same_row(const Row& a, const Row& b) {
  struct Text {
    std::string& out;
    void operator()(const Key&, int64_t value) { out += std::to_string(value) + '|'; }
    void operator()(const Key&, double value) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void operator()(const Key&, const std::string& value) { out += value + '|'; }
  };
  std::string left, right;
  Row::fields(a, Text{left});
  Row::fields(b, Text{right});
  return left == right;
}

template <class Row>
bool same_rows(const std::vector<Row>& a, const std::vector<Row>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_row<Row>);
}

}  // namespace attnlab::test
