#include "experiment/inputs/teacher.h"

#include <fmt/format.h>

#include "attention/side_by_side.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/foreign_weights.h"
#include "core/hub_cache.h"
#include "model/decoder_weights.h"
#include "train/distillation.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTeacherKey = "train.distill.teacher";

[[noreturn]] void refuse_teacher(const std::string& path, const std::string& found, const std::string& expected,
                                 const std::string& nearest = "") {
  throw InputError(BadInput{.key = kTeacherKey,
                            .found = fmt::format("'{}': {}", path, found),
                            .expected = expected,
                            .nearest = nearest});
}

fs::path teacher_folder(const Plan& plan, const std::string& path) {
  const fs::path named = resolve_path(plan, path), folder = find_model_folder(named);
  if (fs::is_directory(folder)) return folder;
  const BadInput problem = no_folder_problem(named);
  refuse_teacher(path, problem.found, problem.expected + ", or base", problem.nearest);
}

// Ids must mean the same text: the sizes alone do not tell.
void check_vocabulary(const std::string& path, const fs::path& folder, const Base& base) {
  const fs::path file = Tokenizer::file_of(folder);
  if (Tokenizer::sha256_of(file) == base.tokenizer_sha256) return;
  const Tokenizer teacher = Tokenizer::load(file);
  for (int64_t id = 0; id < std::max(teacher.vocab_size(), base.tokenizer->vocab_size()); ++id) {
    const std::vector<int64_t> ids{id};
    const std::string ours = base.tokenizer->decode(ids, false), theirs = teacher.decode(ids, false);
    if (ours != theirs)
      refuse_teacher(path, fmt::format("another vocabulary, whose token {} is '{}'", id, theirs),
                     fmt::format("the base's, where it is '{}'", ours));
  }
}

bool is_base(const DistillConfig& distill) { return distill.teacher == kBaseTeacher; }

Teacher load_teacher(const Plan& plan, const RunConfig& config, const Base& base, torch::Device device) {
  const auto dtype = weight_type(config.train.precision);
  if (!is_base(*config.train.distill)) {
    const auto checkpoint = Checkpoint::open(teacher_folder(plan, config.train.distill->teacher));
    return {load_decoder(checkpoint, dtype, device), checkpoint.weights_sha256()};
  }
  auto decoder = std::make_shared<Decoder>(native_form(base.config));
  load_weights(*decoder, base.weights);
  for (auto& parameter : decoder->parameters()) parameter.requires_grad_(false);
  decoder->to(device, dtype);
  lay_side_by_side_on_gpu(*decoder);
  return {decoder, base.weights_sha256};
}

}  // namespace

void check_teacher(const Plan& plan, const RunConfig& config, const Base& base) {
  if (!config.train.distill) return;
  const DistillConfig& distill = *config.train.distill;
  DecoderConfig teacher = base.config;
  if (!is_base(distill)) {
    const fs::path folder = teacher_folder(plan, distill.teacher);
    teacher = read_checkpoint_form(Checkpoint::open(folder)).config;
    check_vocabulary(distill.teacher, folder, base);
  }
  auto problem = teacher_problem(teacher, base.config, distill, config.train.sequence_length);
  if (!problem) return;
  problem->key = "train.distill." + problem->key;
  throw InputError(*problem);
}

Teacher Teachers::get(const RunConfig& config, const std::shared_ptr<const Base>& base, torch::Device device) {
  if (!config.train.distill) return {};
  check_teacher(plan_, config, *base);
  const std::string key =
      fmt::format("{} {} {}", config.train.distill->teacher, name_of(config.train.precision), device.str());
  if (key != key_ || base != base_) {
    last_ = {};  // its memory first
    last_ = load_teacher(plan_, config, *base, device);
    key_ = key;
    base_ = base;
  }
  return last_;
}

}  // namespace attnlab
