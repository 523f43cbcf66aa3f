// The devices of one host that share the text of a conversion.
//
// Batch i of the text lies on device i mod N of N, and what is computed of it is computed there. Sums over
// batches are made in their order, one part a batch, so that N devices of one kind give the bits of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attention/variant.h"
#include "tensor/torch.h"

namespace attnlab {

class Devices {
 public:
  // NOLINTBEGIN(google-explicit-constructor): one device is a list, too.
  Devices(torch::Device one) : devices_{one} {}
  Devices(torch::DeviceType one) : devices_{one} {}
  // NOLINTEND(google-explicit-constructor)
  // At least one. Throws InputError (of --device) for a GPU twice, and for GPUs beside CPUs.
  explicit Devices(std::vector<torch::Device> several);

  // Where layers are read to and converted, and sums end.
  torch::Device first() const { return devices_.front(); }
  size_t size() const { return devices_.size(); }
  size_t index_of(size_t batch) const { return batch % size(); }
  torch::Device of(size_t batch) const { return devices_[index_of(batch)]; }
  torch::Device at(size_t device) const { return devices_.at(device); }

  // Calls for 0 to `count` - 1 (at most size()), all at the same time: 0 in the caller's thread, the others
  // each in one of its own that has the caller's thread-local state (gradients off). Waits for all, and throws
  // what the first of them threw.
  void at_once(size_t count, const std::function<void(size_t device)>& work) const;
  // Calls with each batch; a device takes its own in order.
  void each_batch(size_t batches, const std::function<void(size_t batch)>& visit) const;

 private:
  std::vector<torch::Device> devices_;
};

// A batch's part of the sum of a name, on the batch's device. The tensor becomes the sum's own.
using AddPart = std::function<void(const std::string& name, const torch::Tensor& part)>;
// Σ over batches, by name, on the first device: parts are added in the order of batches, and of one batch in
// the order in which `visit` gives them. The first device adds its parts as they come; the others' are held
// until the batches before are there, for one batch each.
TensorMap sum_in_order(const Devices& devices, size_t batches,
                       const std::function<void(size_t batch, const AddPart& add)>& visit);

// The tensors on another device; themselves where they lie there.
TensorMap moved(const TensorMap& tensors, torch::Device device);

}  // namespace attnlab
