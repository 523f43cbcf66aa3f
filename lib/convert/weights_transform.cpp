#include "convert/weights_transform.h"

namespace attnlab {
namespace {

// Whether the variant computes what GQA does.
struct IsExact {
  const AttentionShape& shape;
  bool operator()(const MlaIdentity::Config&) const { return true; }
  bool operator()(const MlaOrthogonal::Config& config) const {
    return config.rank.value_or(shape.head_dim) == shape.head_dim;
  }
  bool operator()(const MlaV2::Config& config) const { return config.rope == GroupRope::repeat; }
  template <class Other>
  bool operator()(const Other&) const {
    return false;
  }
};

class WeightsTransform final : public Transform {
 public:
  WeightsTransform(const DecoderConfig& base, const VariantConfig& target) : base_(base), target_(target) {
    stages_.push_back({.name = variant_name(target),
                       .does = "weights rewritten",
                       .form = {base, target},
                       .exact = std::visit(IsExact{base.attention_shape()}, target)});
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  VariantConfig settled() const override { return target_; }
  TensorMap convert(size_t, const LayerTask& task, LayerFacts&) override {
    return convert_from_gqa(base_.attention_shape(task.layer), target_, gqa_of(task.base));
  }

 private:
  DecoderConfig base_;
  VariantConfig target_;
  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<Transform> make_weights_transform(const DecoderConfig& base, const VariantConfig& target,
                                                  const TransformOptions&) {
  if (const auto problem = variant_problem(base.attention_shape(), target)) throw InputError(*problem);
  return std::make_unique<WeightsTransform>(base, target);
}

}  // namespace attnlab
