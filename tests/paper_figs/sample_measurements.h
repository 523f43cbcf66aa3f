// Measurements of a small made-up model, as the programs that measure write them.
#pragma once

#include <cmath>
#include <string>

#include "core/random.h"
#include "results/measurements.h"

namespace attnlab::test {

inline double noise(int64_t a, int64_t b = 0, int64_t c = 0) {
  return Random(static_cast<uint64_t>(a * 1000 + b), static_cast<uint64_t>(c)).uniform();
}

// Two KV heads of 32: 64 numbers of keys, of which a half keeps rotary position.
inline constexpr int64_t key_dimensions = 64, rotary_dimensions = 32;

inline void add_norms(Measurements& measured) {
  const auto add = [&](const std::string& part, const std::string& stage, int64_t freqfold, int64_t dimensions,
                       auto norm) {
    for (int64_t layer = 0; layer < 2; ++layer)
      for (int64_t d = 0; d < dimensions; ++d)
        measured.norms.push_back({.layer = layer,
                                  .dimension = d,
                                  .freqfold = freqfold,
                                  .norm = norm(d) * (1 + 0.1 * static_cast<double>(layer)),
                                  .base = "data/base_small",
                                  .stage = stage,
                                  .part = part});
  };
  add("key", "before", 0, key_dimensions, [](int64_t d) { return 1 + 2 * noise(d, 1); });
  for (const int64_t freqfold : {1, 2, 4})
    add("key", "rotated", freqfold, key_dimensions, [&](int64_t d) {
      const double gathered = d < rotary_dimensions ? 2.5 : 1 / static_cast<double>(freqfold);
      return gathered * (0.5 + noise(d, 2, freqfold));
    });
  for (const std::string stage : {"before", "after"}) {
    add("k_nope", stage, 0, 32, [&](int64_t d) { return (stage == "before" ? 4 : 0.8) * (0.4 + noise(d, 3)); });
    add("v", stage, 0, key_dimensions, [](int64_t d) { return 0.8 * (0.4 + noise(d, 4)); });
  }
}

inline ConversionRow conversion(const std::string& stage, int64_t freqfold, int64_t rank, double perplexity,
                                const std::string& options) {
  return {.freqfold = freqfold,
          .collapse = 1,
          .rank = rank,
          .cached = 192 + 6 * rank,
          .cached_base = 768,
          .kl = std::log(perplexity / 2.52),
          .same_token = 0.9,
          .perplexity_base = 2.52,
          .perplexity = perplexity,
          .base = "data/base_small",
          .form = "mla_deepseek",
          .stage = stage,
          .options = options};
}

inline void add_conversions(Measurements& measured) {
  for (const int64_t freqfold : {1, 2, 4})
    for (const double share : {0.5, 0.25, 0.125}) {
      ConversionRow row =
          conversion("remove_rope", freqfold, 64, 2.52 + static_cast<double>(freqfold) * 0.3 / share,
                     "rotary_share=" + std::to_string(share));
      row.collapse = static_cast<int64_t>(0.5 / share);
      measured.conversions.push_back(row);
    }
  const auto add = [&](const std::string& pca, const std::string& balance, double cost) {
    for (const int64_t rank : {16, 32, 48, 64, 80, 96})
      measured.conversions.push_back(conversion("compress", 1, rank,
                                                2.87 + cost * std::exp(-static_cast<double>(rank - 16) / 12),
                                                "kv_pca=" + pca + " balance=" + balance));
  };
  add("activation", "true", 1.46);
  add("activation", "false", 2.97);
  add("weight", "true", 2.98);
  add("weight", "false", 4.44);
  for (const char* stage : {"rotate", "export"}) {
    measured.conversions.push_back(conversion(stage, 1, 64, 2.52, ""));
    measured.conversions.back().exact = 1;
  }
}

inline void add_grams(Measurements& measured) {
  for (const std::string form : {"mla_identity", "mla_orthogonal"})
    for (const std::string matrix : {"k_up", "v_up"})
      for (const std::string state : {"converted", "trained"})
        for (int64_t row = 0; row < 16; ++row)
          for (int64_t column = 0; column < 16; ++column) {
            const double off =
                state == "trained" ? noise(row + column, row * column, form == "mla_identity" ? 1 : 3) : 0;
            measured.grams.push_back({.layer = 1,
                                      .row = row,
                                      .column = column,
                                      .value = row == column ? 1 : (form == "mla_identity" ? 0.6 : 0.2) * off,
                                      .base = "data/base_small",
                                      .form = form,
                                      .matrix = matrix,
                                      .state = state});
          }
}

// GQA does not fit at batch 16 from 16K on.
inline void add_decode_steps(Measurements& measured) {
  const auto add = [&](const std::string& form, int64_t context, int64_t batch, double ms) {
    const bool fits = form != "gqa" || batch * context <= 16 * 8192;
    const double time = fits ? ms : std::nan("");
    measured.decode_steps.push_back({.context = context,
                                     .batch = batch,
                                     .fits = fits ? 1 : 0,
                                     .ms = time,
                                     .ms_min = time,
                                     .ms_max = time,
                                     .gigabytes = 12,
                                     .floor_ms = 3,
                                     .peak_gigabytes = time,
                                     .form = form,
                                     .shape = "llama2-7b",
                                     .dtype = "bf16",
                                     .device = "NVIDIA H200"});
  };
  for (int64_t context = 1024; context <= 32768; context *= 2)
    for (const int64_t batch : {1, 16}) {
      const double load = static_cast<double>(context * batch) / 131072;
      add("gqa", context, batch, 6 + 15 * load);
      add("mla_absorbed", context, batch, 5.7 + 3.6 * load);
      add("mla_materialised", context, batch, 7 + 177 * load);
    }
}

// The largest batches that fit, under caps, as steps and as requests that are served; 24 GiB have no room for
// gqa at 16K.
inline void add_capped(Measurements& measured) {
  const auto add = [&](const std::string& form, int64_t context, double memory, int64_t batch, double ms) {
    const bool fits = batch > 0;
    const double time = fits ? ms : std::nan("");
    measured.decode_steps.push_back({.context = context,
                                     .batch = fits ? batch : 1,
                                     .fits = fits ? 1 : 0,
                                     .found = 1,
                                     .ms = time,
                                     .ms_min = time,
                                     .ms_max = time,
                                     .memory_limit = memory,
                                     .form = form,
                                     .shape = "llama2-7b",
                                     .dtype = "bf16",
                                     .device = "NVIDIA H200"});
    measured.served.push_back({.context = context,
                               .requests = 100,
                               .batch = fits ? batch : 1,
                               .fits = fits ? 1 : 0,
                               .found = 1,
                               .memory_limit = memory,
                               .tokens_per_second = fits ? 900 * static_cast<double>(batch) / ms : std::nan(""),
                               .form = form,
                               .shape = "llama2-7b",
                               .dtype = "bf16",
                               .device = "NVIDIA H200"});
  };
  for (const int64_t context : {4096, 16384})
    for (const double memory : {24.0, 64.0, 0.0}) {
      const double room = (memory == 0 ? 140 : memory) - 13;
      const auto batch = static_cast<int64_t>(2048 * room / static_cast<double>(context));
      add("gqa", context, memory, memory == 24 && context == 16384 ? 0 : batch, 6 + room / 4);
      add("mla_absorbed", context, memory, 14 * batch, 6 + room / 3);
    }
}

inline void add_fits(Measurements& measured) {
  const auto add = [&](const std::string& teacher, const std::string& student, const std::string& start,
                       int64_t cached, auto error) {
    for (int64_t seed = 0; seed < 3; ++seed)
      for (int64_t step = 0; step <= 1500; step = step < 10 ? step + 1 : step * 5 / 4)
        measured.fits.push_back({.seed = seed,
                                 .step = step,
                                 .cached = cached,
                                 .parameters = 4096,
                                 .error = error(static_cast<double>(step)) * (1 + 0.3 * noise(seed, step)),
                                 .teacher = teacher,
                                 .student = student,
                                 .start = start});
  };
  add("mla", "gqa", "random", 32, [](double step) { return 0.35 + 0.65 * std::exp(-step / 100); });
  add("mla", "mla", "random", 32, [](double step) { return 1e-5 + std::exp(-step / 120); });
  add("mla", "gqa_wide", "random", 128, [](double step) { return 2e-4 + std::exp(-step / 150); });
  add("gqa", "mla", "converted", 32, [](double) { return 3e-14; });
  add("gqa", "mla", "random", 32, [](double step) { return 1e-5 + std::exp(-step / 120); });
}

// A base with two policies and a storage, and another arm. Half of the bytes cost a point, a quarter ten.
inline void add_caches(Measurements& measured) {
  const auto add = [&](const std::string& arm, const std::string& policy, double share,
                       const std::string& storage, double bytes, double score) {
    for (const std::string measure : {"passkey", "log_perplexity"}) {
      const double value = measure == "passkey" ? score : 2 - score;
      measured.caches.push_back({.n = 100,
                                 .share = share,
                                 .value = value,
                                 .low = value - 0.05,
                                 .high = value + 0.05,
                                 .bytes_1k = 1024 * bytes,
                                 .bytes_4k = 4096 * bytes,
                                 .bytes_16k = 16384 * bytes,
                                 .held_ratio = 1,
                                 .ms_per_token = 2.5,
                                 .study = "sample",
                                 .arm = arm,
                                 .policy = policy,
                                 .storage = storage,
                                 .behind = "prompt",
                                 .measure = measure,
                                 .settings = policy + storage + std::to_string(share),
                                 .dtype = "float32",
                                 .device = "cpu"});
    }
  };
  add("gqa", "all", 1, "dense", 1536, 0.9);
  add("gqa", "h2o", 0.5, "dense", 780, 0.89);
  add("gqa", "h2o", 0.25, "dense", 400, 0.6);
  add("gqa", "tova", 0.25, "dense", 400, 0.4);
  add("gqa", "all", 1, "int8", 800, 0.88);
  add("gqa", "h2o", 0.5, "int8", 420, 0.85);
  add("mla", "all", 1, "dense", 384, 0.8);
  add("mla", "h2o", 0.5, "dense", 200, 0.7);
}

inline Measurements sample_measurements() {
  Measurements measured;
  add_norms(measured);
  add_conversions(measured);
  add_grams(measured);
  add_decode_steps(measured);
  add_fits(measured);
  add_caches(measured);
  return measured;
}

}  // namespace attnlab::test
