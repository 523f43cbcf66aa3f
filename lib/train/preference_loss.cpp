#include "train/preference_loss.h"

namespace attnlab {

torch::Tensor preference_loss(const AnswerPair& policy, const AnswerPair& reference, double beta) {
  const auto margin = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected);
  return -torch::log_sigmoid(beta * margin).mean();
}

}  // namespace attnlab
