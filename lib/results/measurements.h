// The store of what is measured without a training run: conversions, norms, Gram matrices, decoding steps,
// requests served, fits to a teacher, caches. One HDF5 file per measuring, NAME.measured.h5. results/README.md
// describes the layout.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/fields.h"

namespace attnlab {

// A base after one stage of a conversion, before any training.
struct ConversionRow {
  int64_t exact = 0, freqfold = 0, collapse = 0, rank = 0;  // 0: the form has no such option
  int64_t cached = 0, cached_base = 0;                      // numbers per token
  double max_logit_difference = 0, kl = 0, same_token = 0, perplexity_base = 0, perplexity = 0;
  std::string base, form, stage, options;  // options: "pca=weight balance=false", what else was set

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"exact", "1: the stage changes nothing but rounding"}, self.exact);
    visit(Key{"freqfold", "frequencies that share one rotation; 0: the form has none"}, self.freqfold);
    visit(Key{"collapse", "frequencies of a group that are made one; 0: the form has none"}, self.collapse);
    visit(Key{"rank", "width of the latent; 0: the form has none"}, self.rank);
    visit(Key{"cached", "cached numbers per token"}, self.cached);
    visit(Key{"cached_base", "those of the base"}, self.cached_base);
    visit(Key{"max_logit_difference", "largest change of a logit from the base"}, self.max_logit_difference);
    visit(Key{"kl", "divergence from the base, nats per token"}, self.kl);
    visit(Key{"same_token", "share of places with the base's likeliest token"}, self.same_token);
    visit(Key{"perplexity_base", "of the base, on held-out text"}, self.perplexity_base);
    visit(Key{"perplexity", "after the stage"}, self.perplexity);
    visit(Key{"base", "the model that was converted"}, self.base);
    visit(Key{"form", "attention variant"}, self.form);
    visit(Key{"stage", "stage of the conversion"}, self.stage);
    visit(Key{"options", "other options that were set"}, self.options);
  }
};

// The norm of one dimension over calibration text: root of the mean square.
struct NormRow {
  int64_t layer = 0, dimension = 0, freqfold = 0;
  double norm = 0;
  std::string base, stage, part;  // part: "key", "k_nope", "v"

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"layer", "from 0"}, self.layer);
    visit(Key{"dimension", "place among the part's, all KV heads"}, self.dimension);
    visit(Key{"freqfold", "of the stage; 0: before"}, self.freqfold);
    visit(Key{"norm", "root of the mean square over tokens"}, self.norm);
    visit(Key{"base", "the model that was converted"}, self.base);
    visit(Key{"stage", "before or after what"}, self.stage);
    visit(Key{"part", "key, k_nope or v"}, self.part);
  }
};

// One entry of W^T W for an up-projection W, whose columns are scaled to length 1.
struct GramRow {
  int64_t layer = 0, row = 0, column = 0;
  double value = 0;
  std::string base, form, matrix, state;  // state: "converted", "trained"

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"layer", "from 0"}, self.layer);
    visit(Key{"row", "of the Gram matrix"}, self.row);
    visit(Key{"column", "of the Gram matrix"}, self.column);
    visit(Key{"value", "cosine of two columns of the up-projection"}, self.value);
    visit(Key{"base", "the model that was converted"}, self.base);
    visit(Key{"form", "attention variant"}, self.form);
    visit(Key{"matrix", "k_up or v_up"}, self.matrix);
    visit(Key{"state", "converted or trained"}, self.state);
  }
};

// One decoding step at a fixed context (bench_decode).
struct DecodeRow {
  int64_t context = 0, batch = 0, fits = 0, found = 0;
  double ms = 0, ms_min = 0, ms_max = 0, gigabytes = 0, floor_ms = 0,
         peak_gigabytes = 0;  // NaN if it did not fit
  double memory_limit = 0;
  std::string form, shape, dtype, device;
  static constexpr std::array<std::string_view, 2> added_later{"found", "memory_limit"};

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"context", "tokens in the caches"}, self.context);
    visit(Key{"batch", "sequences"}, self.batch);
    visit(Key{"fits", "1: it fitted into the memory"}, self.fits);
    visit(Key{"found", "1: the largest batch that fits, which was looked for; 0: the batch was given"},
          self.found);
    visit(Key{"memory_limit", "GiB that the device's allocator was given; 0: all"}, self.memory_limit);
    visit(Key{"ms", "median time of a step"}, self.ms);
    visit(Key{"ms_min", "least time"}, self.ms_min);
    visit(Key{"ms_max", "longest time"}, self.ms_max);
    visit(Key{"gigabytes", "what a step must read"}, self.gigabytes);
    visit(Key{"floor_ms", "that over the bandwidth of a large copy"}, self.floor_ms);
    visit(Key{"peak_gigabytes", "most memory that tensors took"}, self.peak_gigabytes);
    visit(Key{"form", "gqa, mla_materialised, mla_absorbed"}, self.form);
    visit(Key{"shape", "of which model"}, self.shape);
    visit(Key{"dtype", "of weights and caches"}, self.dtype);
    visit(Key{"device", "where"}, self.device);
  }
};

// Requests that are served with continuous batching, prompts and answers of half the context (bench_serve).
struct ServeRow {
  int64_t context = 0, requests = 0, batch = 0, fits = 0, found = 0, output_tokens = 0;
  double memory_limit = 0;
  double seconds = 0, tokens_per_second = 0, prefill_share = 0, peak_gigabytes = 0;  // NaN if it did not fit
  std::string form, shape, dtype, device;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"context", "tokens of a request: a prompt of one half, an answer of the other"}, self.context);
    visit(Key{"requests", "that were served"}, self.requests);
    visit(Key{"batch", "at a time, at most"}, self.batch);
    visit(Key{"fits", "1: it fitted into the memory"}, self.fits);
    visit(
        Key{"found", "1: the largest batch that fits, which was looked for, or all requests; 0: it was given"},
        self.found);
    visit(Key{"output_tokens", "of all answers"}, self.output_tokens);
    visit(Key{"memory_limit", "GiB that the device's allocator was given; 0: all"}, self.memory_limit);
    visit(Key{"seconds", "from the first prompt to the last token"}, self.seconds);
    visit(Key{"tokens_per_second", "of answers, over that time"}, self.tokens_per_second);
    visit(Key{"prefill_share", "of that time, in which prompts were read"}, self.prefill_share);
    visit(Key{"peak_gigabytes", "most memory that tensors took"}, self.peak_gigabytes);
    visit(Key{"form", "gqa, mla_materialised, mla_absorbed"}, self.form);
    visit(Key{"shape", "of which model"}, self.shape);
    visit(Key{"dtype", "of weights and caches"}, self.dtype);
    visit(Key{"device", "where"}, self.device);
  }
};

// One form fitted to a random teacher of another form (fit_teacher).
struct FitRow {
  int64_t seed = 0, step = 0, cached = 0, parameters = 0;
  double error = 0;  // relative: mean square of the difference over that of the teacher's output
  std::string teacher, student, start;  // start: "random", "converted"

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"seed", "of the teacher and of the student"}, self.seed);
    visit(Key{"step", "optimiser steps done"}, self.step);
    visit(Key{"cached", "numbers per token that the student caches"}, self.cached);
    visit(Key{"parameters", "of the student's attention"}, self.parameters);
    visit(Key{"error", "mean square of the difference over that of the teacher's output"}, self.error);
    visit(Key{"teacher", "form of the teacher"}, self.teacher);
    visit(Key{"student", "form of the student"}, self.student);
    visit(Key{"start", "random or converted"}, self.start);
  }
};

// One model under one way of keeping its cache: a score of a task, or the likelihood of text (measure_caches).
struct CacheRow {
  int64_t n = 0;
  double share = 1, value = 0, low = 0, high = 0, bytes_1k = 0, bytes_4k = 0, bytes_16k = 0, held_ratio = 0,
         ms_per_token = 0;
  std::string study, arm, policy, storage, behind, measure, settings, dtype, device;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"n", "problems, or texts"}, self.n);
    visit(Key{"share", "of a prompt's tokens that the policy keeps"}, self.share);
    visit(Key{"value", "share of problems solved; of the measure log_perplexity nats per token"}, self.value);
    visit(Key{"low", "lower end of its 95 % interval"}, self.low);
    visit(Key{"high", "upper end"}, self.high);
    visit(Key{"bytes_1k", "of one sequence of 1,024 tokens, two for a number as computed"}, self.bytes_1k);
    visit(Key{"bytes_4k", "of 4,096 tokens"}, self.bytes_4k);
    visit(Key{"bytes_16k", "of 16,384 tokens"}, self.bytes_16k);
    visit(Key{"held_ratio", "bytes that the tensors took behind a text, over those counted for its length"},
          self.held_ratio);
    visit(Key{"ms_per_token", "median of single steps; NaN: not measured"}, self.ms_per_token);
    visit(Key{"study", "what was laid out together"}, self.study);
    visit(Key{"arm", "the model"}, self.arm);
    visit(Key{"policy", "which tokens stay"}, self.policy);
    visit(Key{"storage", "in what form"}, self.storage);
    visit(Key{"behind", "prompt or context: when tokens leave first"}, self.behind);
    visit(Key{"measure", "a task's label, or log_perplexity"}, self.measure);
    visit(Key{"settings", "keys of eval.cache that are not at their defaults"}, self.settings);
    visit(Key{"dtype", "of weights and computation"}, self.dtype);
    visit(Key{"device", "where"}, self.device);
  }
};

struct Measurements {
  FlatFields provenance;  // group /provenance: command, versions, hardware
  std::vector<ConversionRow> conversions;
  std::vector<NormRow> norms;
  std::vector<GramRow> grams;
  std::vector<DecodeRow> decode_steps;
  std::vector<ServeRow> served;
  std::vector<FitRow> fits;
  std::vector<CacheRow> caches;
  std::filesystem::path path;
};

inline constexpr const char* measurements_ending = ".measured.h5";

// Replaces `path` as a whole. Throws RunError; InputError if its name does not end as it must.
void write_measurements(const std::filesystem::path& path, const Measurements& measurements);
// Throws InputError if there is no such file at `path`.
Measurements read_measurements(const std::filesystem::path& path);
// All files below a folder, sorted by path, or the one file; none: empty.
std::vector<Measurements> find_measurements(const std::filesystem::path& folder_or_file);

}  // namespace attnlab
