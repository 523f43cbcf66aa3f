// Reading in another element type: values, and the memory that it takes.
#include <malloc.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_writer.h"
#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;
namespace fs = std::filesystem;

namespace {

int64_t status_bytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    if (word != key + ":") continue;
    int64_t kilobytes = 0;
    in >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

// Makes the peak of the resident memory (VmHWM) what it is now. False where the system can't.
bool restart_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
  return status_bytes("VmHWM") > 0 && status_bytes("VmHWM") < status_bytes("VmRSS") + (4 << 20);
}

Checkpoint save(const fs::path& folder, const TensorList& tensors) {
  write_checkpoint(folder, nlohmann::json::object(), tensors);
  return Checkpoint::open(folder);
}

}  // namespace

TEST_CASE("the file's own element type is the mapped tensor, another one a copy") {
  TemporaryFolder folder;
  const auto x = torch::arange(-7, 8, torch::kFloat32) / 3;
  const auto checkpoint = save(folder.path(), {{"x", x.to(torch::kBFloat16).reshape({3, 5})}});
  CHECK(checkpoint.tensor_as("x", torch::kBFloat16).data_ptr() == checkpoint.tensor("x").data_ptr());
  const auto wide = checkpoint.tensor_as("x", torch::kFloat32);
  check_same_tensor(wide, x.to(torch::kBFloat16).to(torch::kFloat32).reshape({3, 5}));
  CHECK_THROWS_WITH(checkpoint.tensor_as("y", torch::kFloat32), ContainsSubstring("y: found no such tensor"));
}

TEST_CASE("tensors of several blocks are read right into any type and layout") {
  TemporaryFolder folder;
  const int64_t rows = 1031, columns = 2100;  // 2 165 100 numbers: no whole number of blocks
  const auto x = torch::arange(rows * columns, torch::kFloat32).reshape({rows, columns}).sin_();
  const auto checkpoint = save(folder.path(), {{"f32", x},
                                               {"bf16", x.to(torch::kBFloat16)},
                                               {"flags", x > 0},
                                               {"none", torch::empty({0, 3})},
                                               {"one", torch::tensor(3.5)}});
  for (const auto& name : checkpoint.names()) {
    INFO(name);
    const auto source = checkpoint.tensor(name);
    for (const auto type : {torch::kFloat32, torch::kBFloat16, torch::kFloat64}) {
      auto into = torch::full(source.sizes(), 9, type);
      checkpoint.copy_to(name, into);
      check_same_tensor(into, source.to(type));
    }
  }
  auto same = torch::empty({rows, columns});
  checkpoint.copy_to("f32", same);
  check_same_tensor(same, x);
  auto turned = torch::empty({columns, rows}).t();
  checkpoint.copy_to("f32", turned);
  check_same_tensor(turned, x);
  auto parameter = torch::zeros({rows, columns}).requires_grad_();
  checkpoint.copy_to("bf16", parameter);
  check_same_tensor(parameter.detach(), x.to(torch::kBFloat16).to(torch::kFloat32));
}

TEST_CASE("another shape, an unaligned tensor and a wrong BOOL are told by copy_to as well") {
  TemporaryFolder folder;
  const std::string header =
      R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I32","shape":[1],"data_offsets":[1,5]}})";
  write_file_atomic(folder.path() / "a", raw_file(header, std::string("\x09\x01\x02\x00\x00", 5)));
  const auto file = SafetensorsFile::open(folder.path() / "a");
  auto one = torch::zeros(1, torch::kInt64);
  file.copy_to("b", one);
  CHECK(one[0].item<int64_t>() == 0x0201);
  CHECK_THROWS_WITH(file.copy_to("a", one), ContainsSubstring("a: found the byte 9 in a BOOL tensor"));
  CHECK_THROWS_WITH(file.copy_to("b", torch::zeros({1, 1})),
                    ContainsSubstring("b: found shape [1], expected [1, 1]"));
}

TEST_CASE("a file that became shorter is a run error when it is read") {
  TemporaryFolder folder;
  const auto checkpoint = save(folder.path(), {{"x", torch::ones(100)}});
  fs::resize_file(folder.path() / "model.safetensors", 300);
  CHECK_THROWS_AS(checkpoint.tensor_as("x", torch::kFloat64), RunError);
}

TEST_CASE("values written to a mapped tensor are kept there and not seen by copies") {
  TemporaryFolder folder;
  const auto checkpoint = save(folder.path(), {{"x", torch::ones(100)}});
  checkpoint.tensor("x").fill_(7);
  CHECK(checkpoint.tensor_as("x", torch::kFloat64).eq(1).all().item<bool>());
  CHECK(checkpoint.tensor("x").eq(7).all().item<bool>());
}

TEST_CASE("reading a bf16 checkpoint as float32 peaks within a tenth above the float32 size") {
#if defined(__SANITIZE_ADDRESS__)
  SKIP_TEST("freed memory stays resident under the address sanitizer");
#else
  TemporaryFolder folder;
  {
    CheckpointWriter writer(folder.path());
    for (int i = 0; i < 16; ++i) writer.add(std::to_string(i), torch::full({1024, 4096}, i, torch::kBFloat16));
    writer.finish(nlohmann::json::object());
  }
  ::malloc_trim(0);  // what was freed must not serve the load
  const auto checkpoint = Checkpoint::open(folder.path());
  if (!restart_peak()) SKIP_TEST("the system doesn't restart the peak of resident memory");
  const int64_t before = status_bytes("VmRSS");
  TensorList loaded;
  int64_t bytes = 0;
  for (const auto& name : checkpoint.names()) {
    loaded[name] = checkpoint.tensor_as(name, torch::kFloat32);
    bytes += static_cast<int64_t>(loaded[name].nbytes());
  }
  const auto grown = static_cast<double>(status_bytes("VmHWM") - before);
  REQUIRE(bytes == 16 * 1024 * 4096 * 4);
  CHECK(grown > 0.9 * static_cast<double>(bytes));  // it is measured at all
  CHECK(grown <= 1.1 * static_cast<double>(bytes));
  CHECK(loaded.at("7").eq(7).all().item<bool>());
#endif
}
