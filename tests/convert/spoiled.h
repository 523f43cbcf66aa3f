// A transform whose first stage is wrong.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "convert/transform.h"

namespace attnlab::test {

class Spoiled final : public Transform {
 public:
  // spoil: changes what the first stage makes of a layer.
  using Spoil = std::function<void(const LayerTask& task, TensorMap& tensors)>;
  Spoiled(std::unique_ptr<Transform> inner, Spoil spoil) : inner_(std::move(inner)), stages_(inner_->stages()) {
    stages_[0].convert = [convert = stages_[0].convert, spoil = std::move(spoil)](const LayerTask& task,
                                                                                  LayerFacts& facts) {
      auto tensors = convert(task, facts);
      spoil(task, tensors);
      return tensors;
    };
  }
  const std::vector<Stage>& stages() const override { return stages_; }
  std::vector<ConversionStep> settled() const override { return inner_->settled(); }

 private:
  std::unique_ptr<Transform> inner_;
  std::vector<Stage> stages_;
};

}  // namespace attnlab::test
