// How an arm is trained.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/errors.h"
#include "core/fields.h"
#include "data/packing.h"
#include "model/precision.h"
#include "train/distill_config.h"
#include "train/domains_config.h"
#include "train/prune_config.h"

namespace attnlab {

enum class Schedule { constant, linear, cosine, warmup_stable_decay };
template <>
struct EnumNames<Schedule> {
  static constexpr std::array<std::pair<std::string_view, Schedule>, 4> rows{
      {{"constant", Schedule::constant},
       {"linear", Schedule::linear},
       {"cosine", Schedule::cosine},
       {"warmup_stable_decay", Schedule::warmup_stable_decay}}};
};

// What happens at a step whose loss or gradient is not finite. It changes nothing in either case.
enum class OnNonfinite { stop, skip };
template <>
struct EnumNames<OnNonfinite> {
  static constexpr std::array<std::pair<std::string_view, OnNonfinite>, 2> rows{
      {{"stop", OnNonfinite::stop}, {"skip", OnNonfinite::skip}}};
};

// What ranks keep a part of, instead of all of it.
enum class Sharded { none, optimizer, parameters };
template <>
struct EnumNames<Sharded> {
  static constexpr std::array<std::pair<std::string_view, Sharded>, 3> rows{
      {{"none", Sharded::none}, {"optimizer", Sharded::optimizer}, {"parameters", Sharded::parameters}}};
};

// Whether a run keeps its trained weights. automatic: where they take at most small_model_bytes.
enum class KeepWeights { automatic, yes, no };
template <>
struct EnumNames<KeepWeights> {
  static constexpr std::array<std::pair<std::string_view, KeepWeights>, 3> rows{
      {{"auto", KeepWeights::automatic}, {"true", KeepWeights::yes}, {"false", KeepWeights::no}}};
};
inline constexpr int64_t small_model_bytes = 100'000'000;

// Help that takes several lines.
namespace detail {
inline constexpr std::string_view kPackingHelp =
    "none: an example a row. stream: documents one behind the other, cut into full rows; attention runs across "
    "documents and all tokens are trained. isolated: whole documents side by side, each with the loss that it "
    "has alone (attention and positions start anew); those longer than a row are cut into pieces. false and "
    "true: older names of none and stream";
inline constexpr std::string_view kCudaGraphHelp =
    "on a GPU: a step whose shapes stay the same (packed rows, loss_on_prompt: true) is recorded as a CUDA "
    "graph and launched as one. The same bits; small models train several times as fast";
inline constexpr std::string_view kShardHelp =
    "with several ranks. none: each has all of the optimizer's state. optimizer: each keeps and updates an "
    "equal part, "
    "and all gather the parameters behind it: less memory, the same bits. parameters: of these and their "
    "gradients, too; a layer is gathered before its passes and let go behind them (with "
    "activation_checkpointing the least memory)";
inline constexpr std::string_view kOnNonfiniteHelp =
    "a step whose loss or gradient is not finite changes no parameter. stop: it ends the run; other runs go "
    "on. skip: the run goes on with the next step";
}  // namespace detail

struct TrainConfig {
  int64_t steps = 1000;
  int64_t batch_size = 16, micro_batches = 1, sequence_length = 256;
  Packing packing = Packing::none;
  bool loss_on_prompt = false;
  double lr = 3e-4;
  Schedule schedule = Schedule::cosine;
  int64_t warmup_steps = 0;
  double final_lr_share = 0.1, decay_share = 0.2;
  double weight_decay = 0.01, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double clip_norm = 1.0;
  std::vector<std::string> trainable{"all"};
  Precision precision = Precision::float32;
  bool activation_checkpointing = false, deterministic = false, cuda_graph = true;
  Sharded shard = Sharded::none;
  OnNonfinite on_nonfinite = OnNonfinite::stop;
  int64_t log_every = 1, checkpoint_every = 100, keep_checkpoints = 1;
  KeepWeights save_model = KeepWeights::automatic;
  std::optional<DistillConfig> distill;
  std::optional<PruneConfig> prune;
  std::optional<DomainsConfig> domains;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"steps", "optimizer steps"}.at_least(1), self.steps);
    visit(Key{"batch_size", "sequences of one micro-batch"}.at_least(1), self.batch_size);
    visit(Key{"micro_batches", "micro-batches whose gradients make one step"}.at_least(1), self.micro_batches);
    visit(Key{"sequence_length",
              "longest sequence, in tokens; longer examples are cut off (isolated: go on in another row)"}
              .at_least(2),
          self.sequence_length);
    visit(Key{"packing", detail::kPackingHelp}, self.packing);
    visit(Key{"loss_on_prompt", "train the prompt's tokens too"}, self.loss_on_prompt);
    visit(Key{"lr", "highest learning rate, or a map that chooses one for each arm, below"}.above(0), self.lr);
    visit(
        Key{"schedule",
            "how the learning rate falls after warm-up; warmup_stable_decay stays at lr, then falls linearly"},
        self.schedule);
    visit(Key{"warmup_steps", "steps in which the learning rate rises"}.at_least(0), self.warmup_steps);
    visit(Key{"final_lr_share", "share of lr at the last step (all but constant)"}.at_least(0).at_most(1),
          self.final_lr_share);
    visit(
        Key{"decay_share", "warmup_stable_decay: share of the steps in which lr falls"}.at_least(0).at_most(1),
        self.decay_share);
    visit(Key{"weight_decay", "decoupled decay, of matrices only"}.at_least(0), self.weight_decay);
    visit(Key{"beta1", "AdamW: decay of the first moment"}.at_least(0).at_most(0.99999), self.beta1);
    visit(Key{"beta2", "AdamW: decay of the second moment"}.at_least(0).at_most(0.99999), self.beta2);
    visit(Key{"epsilon", "AdamW: added to the root of the second moment"}.above(0), self.epsilon);
    visit(Key{"clip_norm", "longest gradient; 0: no clipping"}.at_least(0), self.clip_norm);
    visit(Key{"trainable",
              "one or a list of: all, attention, attention_kv (attention without q_proj and o_proj), patterns "
              "of parameter names (model.layers.*.mlp.*)"},
          self.trainable);
    visit(Key{"precision",
              "bf16_mixed: float32 weights, products and attention in bfloat16. bf16: weights and moments in "
              "bfloat16, too, where small updates are lost"},
          self.precision);
    visit(Key{"activation_checkpointing",
              "keep each layer's input alone and run the layer again in the backward pass: less memory for one "
              "more forward pass, the same bits"},
          self.activation_checkpointing);
    visit(Key{"deterministic",
              "on a GPU: only operations that give the same bits each time (slower); the CPU always does"},
          self.deterministic);
    visit(Key{"cuda_graph", detail::kCudaGraphHelp}, self.cuda_graph);
    visit(Key{"shard", detail::kShardHelp}, self.shard);
    visit(Key{"on_nonfinite", detail::kOnNonfiniteHelp}, self.on_nonfinite);
    visit(Key{"log_every", "steps between two rows of the loss curve"}.at_least(1), self.log_every);
    visit(Key{"checkpoint_every", "steps between two saved states"}.at_least(1), self.checkpoint_every);
    visit(Key{"keep_checkpoints",
              "saved states that are kept while the run goes on: a damaged one costs the steps since the one "
              "before"}
              .at_least(1),
          self.keep_checkpoints);
    visit(Key{"save_model",
              "keep the trained weights at seedN.model/: of gqa and deepseek_mla arms in Hugging Face's "
              "layout, of all others in the project's own. auto: where they take at most 100 MB"},
          self.save_model);
    visit(Key{"distill", "a teacher, beside the data's own tokens"}, self.distill);
    visit(Key{"prune", "masks that cut the model to a smaller shape on the way (Sheared LLaMA)"}, self.prune);
    visit(Key{"domains", "shares of data.mixture's parts that follow their losses"}, self.domains);
  }
};

// Keys that can't be together, if so (key below `train`).
std::optional<BadInput> train_problem(const TrainConfig& config);

// Why a key that is given another value than its default has no effect beside the others; empty where it has
// one.
std::string why_idle(const TrainConfig& config, const std::string& key);

}  // namespace attnlab
