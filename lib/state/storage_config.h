// In what form caches keep their numbers, without torch.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "core/errors.h"
#include "core/fields.h"

namespace attnlab {

enum class CacheStorageName { dense, int8, int4, fp8, kivi, kvquant, minicache };
template <>
struct EnumNames<CacheStorageName> {
  static constexpr std::array<std::pair<std::string_view, CacheStorageName>, 7> rows{
      {{"dense", CacheStorageName::dense},
       {"int8", CacheStorageName::int8},
       {"int4", CacheStorageName::int4},
       {"fp8", CacheStorageName::fp8},
       {"kivi", CacheStorageName::kivi},
       {"kvquant", CacheStorageName::kvquant},
       {"minicache", CacheStorageName::minicache}}};
};

// What a number is divided by before it becomes fp8 e4m3.
enum class Fp8Scales {
  amax,          // the largest number of the group becomes 448
  power_of_two,  // the same, rounded up to a power of two, and at least 1e-4 before
  one,           // nothing is
};
template <>
struct EnumNames<Fp8Scales> {
  static constexpr std::array<std::pair<std::string_view, Fp8Scales>, 3> rows{
      {{"amax", Fp8Scales::amax}, {"power_of_two", Fp8Scales::power_of_two}, {"one", Fp8Scales::one}}};
};

struct StorageConfig {
  CacheStorageName name = CacheStorageName::dense;
  int64_t bits = 2, group = 0, residual = 128;
  Fp8Scales fp8_scales = Fp8Scales::amax;
  std::string calibration;
  int64_t first = 1;
  double merge_at = 0.6, retain = 0.05;
  int64_t merge_from = -1;

  // Keys of `cache`, beside the policy's.
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"storage",
              "in what form: dense (as computed); int8, int4 or fp8 (each token by itself); kivi (keys by "
              "channel, values by token, the newest ones as computed); kvquant (calibrated levels, keys before "
              "rotary)"},
          self.name);
    visit(Key{"bits", "of kivi: of one number, 2 or 4"}.at_least(2).at_most(4), self.bits);
    visit(Key{"group",
              "neighbouring numbers that share a scale; 0: a head (int8, fp8), 32 or a narrower head (int4, "
              "kivi), "
              "of a latent 128 (int8, fp8) or 32 and, if it is narrower, all of it"}
              .at_least(0),
          self.group);
    visit(Key{"residual", "of kivi: newest tokens that stay as computed, a multiple of 32 (or of group)"}
              .at_least(1),
          self.residual);
    visit(Key{"fp8_scales",
              "of fp8: amax (the largest number of a group becomes 448), power_of_two (that, rounded up), one "
              "(none)"},
          self.fp8_scales);
    visit(Key{"calibration", "of kvquant: the file that calibrate_cache wrote for this model"},
          self.calibration);
    visit(Key{"first", "of kvquant: oldest tokens that stay as computed"}.at_least(0), self.first);
    visit(Key{"merge_at", "of minicache: where between the lower layer's direction (0) and the upper's (1)"}
              .at_least(0)
              .at_most(1),
          self.merge_at);
    visit(Key{"retain",
              "of minicache: tokens within this share of the angles' range below the largest stay as "
              "computed"}
              .at_least(0)
              .at_most(1),
          self.retain);
    visit(Key{"merge_from", "of minicache: the first layer of the first pair; -1: half of the layers"}.at_least(
              -1),
          self.merge_from);
  }
};

// Why the options can't be, whatever the model, if so. Keys as above.
std::optional<BadInput> storage_config_problem(const StorageConfig& config);

bool is_storage_key(const std::string& key);
// Why a key has no effect beside the others; empty where it has one.
std::string why_idle(const StorageConfig& config, const std::string& key);

}  // namespace attnlab
