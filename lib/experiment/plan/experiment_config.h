// exp.yaml, typed: what one run is made of once arms, sweep points and overrides have been merged.
#pragma once

#include <string>
#include <vector>

#include "attention/variant_config.h"
#include "config/node.h"
#include "core/fields.h"
#include "data/data_config.h"
#include "eval/eval_config.h"
#include "model/decoder_config.h"
#include "train/train_config.h"

namespace attnlab {

enum class DeviceChoice { automatic, cpu, cuda };
template <>
struct EnumNames<DeviceChoice> {
  static constexpr std::array<std::pair<std::string_view, DeviceChoice>, 3> rows{
      {{"auto", DeviceChoice::automatic}, {"cpu", DeviceChoice::cpu}, {"cuda", DeviceChoice::cuda}}};
};

// The GQA model that all arms start from: a checkpoint, or random weights of a given shape.
struct BaseConfig {
  std::string path;                   // folder in Hugging Face's layout
  std::optional<DecoderConfig> init;  // instead of path
  int64_t init_seed = 0;
  std::string tokenizer;  // tokenizer.json or its folder; empty: the one in path
  std::string bos_token, eos_token;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"path",
              "folder of the checkpoint that all arms start from, in Hugging Face's layout, or the id of a "
              "model in the "
              "hub's cache"},
          self.path);
    visit(Key{"init", "shape of a model with random weights, instead of path"}, self.init);
    visit(Key{"init_seed", "seed of the random weights"}.at_least(0), self.init_seed);
    visit(Key{"tokenizer", "a tokenizer's file or its folder; none: the one in path. Needed with init"},
          self.tokenizer);
    visit(Key{"bos_token",
              "token that starts every document, as the tokenizer spells it; none: the checkpoint's "
              "bos_token_id, if any"},
          self.bos_token);
    visit(Key{"eos_token",
              "token that ends every document; none: the checkpoint's eos_token_id (the first, of several), or "
              "the tokenizer's"},
          self.eos_token);
  }
};

inline constexpr Key cache_key =
    Key{"cache", "share of what a layer of the base keeps of each token: the variant's ranks follow from it"}
        .above(0)
        .at_most(1);

// A variant in some of the layers.
struct LayerRange {
  std::string of, variant;
  VariantConfig options;
  std::optional<double> cache;

  static void choose_fields(const Node& node, const std::string& prefix, LayerRange& value);
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"of", "layers from 0 on: 0-3,6, or every fourth: 0-23:4"}.must_be_given(), self.of);
    visit(Key{"variant", "attention variant of these layers"}.must_be_given(), self.variant);
    visit(Key{"options", "the variant's options"}, self.options);
    visit(cache_key, self.cache);
  }
};

struct ArmConfig {
  std::string name, variant;
  VariantConfig options;
  std::optional<double> cache;
  std::optional<int64_t> cached_numbers;
  std::vector<LayerRange> layers;

  static void choose_fields(const Node& node, const std::string& prefix, ArmConfig& value);
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"name", "name of the arm: letters, digits, '_', '-', '.'"}.must_be_given(), self.name);
    visit(Key{"variant", "attention variant, of all layers that `layers` doesn't name"}, self.variant);
    visit(Key{"options", "the variant's options"}, self.options);
    visit(cache_key, self.cache);
    visit(Key{"cached_numbers",
              "the same as numbers of a token in all layers together, as tables show them, instead of cache"}
              .at_least(1),
          self.cached_numbers);
    visit(Key{"layers", "other variants in some layers: a hybrid"}, self.layers);
  }
};

enum class SelectBy { heldout_loss, training_loss };
template <>
struct EnumNames<SelectBy> {
  static constexpr std::array<std::pair<std::string_view, SelectBy>, 2> rows{
      {{"heldout_loss", SelectBy::heldout_loss}, {"training_loss", SelectBy::training_loss}}};
};

// train.lr as a map: the rate of an arm is the best of `sweep`, on seeds that are in no verdict.
struct RateRule {
  std::vector<double> sweep;
  SelectBy select_by = SelectBy::heldout_loss;
  std::vector<int64_t> seeds;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"sweep", "learning rates to choose from"}.above(0).must_be_given(), self.sweep);
    visit(Key{"select_by", "what is lowest at the chosen rate, on average over seeds"}, self.select_by);
    visit(Key{"seeds", "seeds of the runs that choose; none of them is reported"}.at_least(0).must_be_given(),
          self.seeds);
  }
};

struct RunConfig {
  std::string experiment;
  int64_t seed = 0;
  DeviceChoice device = DeviceChoice::automatic;
  BaseConfig base;
  DataConfig data;
  ArmConfig arm;
  TrainConfig train;
  EvalConfig eval;
  std::optional<RateRule> lr_selection;  // how train.lr was chosen; not a key of exp.yaml
  std::optional<std::string> purpose;    // of runs that are in no verdict

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"experiment", "name of the experiment"}, self.experiment);
    visit(Key{"seed", "seed of the run"}, self.seed);
    visit(Key{"device", "where to compute; auto: a GPU if there is a usable one"}, self.device);
    visit(Key{"base", "the model that all arms start from"}, self.base);
    visit(Key{"data", "training and held-out examples"}, self.data);
    visit(Key{"arm", "the arm"}, self.arm);
    visit(Key{"train", "training"}, self.train);
    visit(Key{"eval", "evaluation"}, self.eval);
    visit(Key{"lr_selection", "how train.lr was chosen"}, self.lr_selection);
    visit(Key{"purpose", "what a run is for that is in no verdict"}, self.purpose);
  }
};

// The run of one arm from the tree of exp.yaml, in which the sweep point is already set and `train` is already
// merged with the arm's overrides. Throws InputError.
RunConfig read_run_config(const Node& root, const Node& arm, int64_t arm_index, int64_t seed);

// "arms.mla_identity.train.lr" → "arms.1.train.lr"; other paths as they are.
std::string with_arm_number(const Node& root, const std::string& path);

// Adds file and line of the key to an error that only names the key, where the tree has the key.
InputError located(const InputError& error, const Node& root);

}  // namespace attnlab
