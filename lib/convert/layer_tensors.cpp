#include "convert/layer_tensors.h"

#include "tensor/torch.h"

namespace attnlab {
namespace {

const std::string kMixer = "self_attn.";

}  // namespace

TensorMap mixer_of(const TensorMap& layer) {
  TensorMap mixer;
  for (const auto& [name, tensor] : layer)
    if (name.starts_with(kMixer)) mixer[name.substr(kMixer.size())] = tensor;
  return mixer;
}

TensorMap with_mixer(const TensorMap& layer, const TensorMap& mixer) {
  TensorMap out;
  for (const auto& [name, tensor] : layer)
    if (!name.starts_with(kMixer)) out[name] = tensor;
  for (const auto& [name, tensor] : mixer) out[kMixer + name] = tensor;
  return out;
}

}  // namespace attnlab
