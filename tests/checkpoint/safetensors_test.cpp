#include "checkpoint/safetensors.h"

#include <limits>

#include "raw_file.h"

using namespace attnlab;
using namespace attnlab::test;
namespace fs = std::filesystem;

namespace {

constexpr torch::ScalarType kTypes[] = {torch::kFloat64, torch::kFloat32, torch::kFloat16, torch::kBFloat16,
                                        torch::kInt64,   torch::kInt32,   torch::kInt16,   torch::kInt8,
                                        torch::kUInt8,   torch::kBool};

// Every element type as a matrix with an odd number of bytes in a row, a scalar and an empty tensor.
TensorList all_kinds() {
  TensorList tensors;
  for (const auto type : kTypes) {
    const std::string name = torch::toString(type);
    tensors[name + ".matrix"] = torch::arange(15).reshape({3, 5}).to(type);
    tensors[name + ".scalar"] = torch::ones({}).to(type);
    tensors[name + ".empty"] = torch::empty({2, 0, 3}, type);
  }
  return tensors;
}

void check_same(const SafetensorsFile& file, const TensorList& tensors) {
  REQUIRE(file.names().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    check_same_tensor(file.tensor(name), tensor);
    CHECK(file.dtype(name) == tensor.scalar_type());
    CHECK(file.shape(name) == tensor.sizes().vec());
  }
}

}  // namespace

TEST_CASE("every dtype comes back with its bytes, empty and scalar tensors too") {
  TemporaryFolder folder;
  const auto path = folder.path() / "sub" / "a.safetensors";
  TensorList tensors = all_kinds();
  tensors["special"] = torch::tensor(
      {std::numeric_limits<float>::quiet_NaN(), -0.0F, 1e-45F, -std::numeric_limits<float>::infinity()});
  write_safetensors(path, tensors, {{"format", "pt"}, {"näme \"x\"\n", "\\"}});
  const auto file = SafetensorsFile::open(path);
  check_same(file, tensors);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"näme \"x\"\n", "\\"}});
  CHECK_FALSE(fs::exists(path.string() + ".tmp"));
}

TEST_CASE("a file without tensors comes back") {
  TemporaryFolder folder;
  write_safetensors(folder.path() / "a", {});
  CHECK(SafetensorsFile::open(folder.path() / "a").names().empty());
}

TEST_CASE("the same tensors give the same bytes, and a small file is byte for byte what the format says") {
  TemporaryFolder folder;
  write_safetensors(folder.path() / "a", all_kinds(), {{"k", "v"}});
  write_safetensors(folder.path() / "b", all_kinds(), {{"k", "v"}});
  CHECK(read_file(folder.path() / "a") == read_file(folder.path() / "b"));

  write_safetensors(folder.path() / "c",
                    {{"x", torch::tensor({7, 8}, torch::kUInt8)}, {"y", torch::tensor(-2, torch::kInt16)}});
  const std::string header =
      R"({"y":{"dtype":"I16","shape":[],"data_offsets":[0,2]},"x":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(read_file(folder.path() / "c") == raw_file(padded, "\xFE\xFF\x07\x08"));
}

TEST_CASE("transposed, strided, expanded and gradient tensors are written as their values") {
  TemporaryFolder folder;
  const auto base = torch::arange(24, torch::kFloat32).reshape({4, 6});
  const TensorList views{{"transposed", base.t()},
                         {"strided", base.slice(1, 1, 6, 2)},
                         {"expanded", base.select(1, 0).unsqueeze(1).expand({4, 3})},
                         {"gradient", base.clone().requires_grad_()}};
  write_safetensors(folder.path() / "a", views);
  const auto file = SafetensorsFile::open(folder.path() / "a");
  check_same(file, views);
  CHECK(file.tensor("transposed")[5][3].item<float>() == 23);  // base[3][5], row-major 3·6 + 5
}

TEST_CASE("a tensor is a view of the mapping: it outlives the file object and never changes the file") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  write_safetensors(path, {{"x", torch::arange(1000)}});
  const std::string before = read_file(path);
  torch::Tensor x;
  {
    const auto file = SafetensorsFile::open(path);
    x = file.tensor("x");
    CHECK(file.tensor("x").data_ptr() == x.data_ptr());
  }
  x.add_(1);
  CHECK(x.sum().item<int64_t>() == 1000 * 999 / 2 + 1000);
  CHECK(read_file(path) == before);
}

TEST_CASE("a file can be rewritten from its own mapped tensors") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  write_safetensors(path, {{"x", torch::arange(1000)}});
  const auto x = SafetensorsFile::open(path).tensor("x");
  write_safetensors(path, {{"x", x}, {"y", x.flip(0)}});
  CHECK(torch::equal(SafetensorsFile::open(path).tensor("x"), torch::arange(1000)));
  CHECK(torch::equal(x, torch::arange(1000)));
}

TEST_CASE("unaligned tensors of other writers are read right") {
  TemporaryFolder folder;
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I32","shape":[1],"data_offsets":[1,5]}})";
  write_file_atomic(folder.path() / "a", raw_file(header, std::string("\x09\x01\x02\x00\x00", 5)));
  const auto b = SafetensorsFile::open(folder.path() / "a").tensor("b");
  CHECK(b[0].item<int32_t>() == 0x0201);
  CHECK(reinterpret_cast<uintptr_t>(b.data_ptr()) % 4 == 0);
}

TEST_CASE("a tensor that is not there is refused with the nearest name") {
  TemporaryFolder folder;
  write_safetensors(folder.path() / "w.safetensors", {{"layers.0.q_proj", torch::ones(2)}});
  const auto file = SafetensorsFile::open(folder.path() / "w.safetensors");
  CHECK_FALSE(file.has("layers.0.q_prj"));
  CHECK_THROWS_WITH(file.tensor("layers.0.q_prj"),
                    ContainsSubstring("w.safetensors: layers.0.q_prj: found no such tensor") &&
                        ContainsSubstring("did you mean 'layers.0.q_proj'?"));
  CHECK_THROWS_AS(file.shape("z"), InputError);
  CHECK_THROWS_AS(file.dtype("z"), InputError);
}

TEST_CASE("what the format lacks is refused before anything is written") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  CHECK_THROWS_WITH(write_safetensors(path, {{"x", torch::ones(2, torch::kComplexFloat)}}),
                    ContainsSubstring("x: found a tensor of ComplexFloat") && ContainsSubstring("BFloat16"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"__metadata__", torch::ones(2)}}),
                    ContainsSubstring("__metadata__: found a tensor of that name"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"\xFF", torch::ones(2)}}), ContainsSubstring("not UTF-8"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a full disk is a run error, leaves the old file and no temporary one") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full here");
  TemporaryFolder folder;
  const auto path = folder.path() / "a";
  write_file_atomic(path, "old");
  fs::create_symlink("/dev/full", path.string() + ".tmp");  // each write to it says ENOSPC
  CHECK_THROWS_AS(write_safetensors(path, {{"x", torch::ones(4)}}), RunError);
  CHECK(read_file(path) == "old");
  CHECK_FALSE(fs::is_symlink(path.string() + ".tmp"));
  CHECK_THROWS_AS(write_safetensors(path / "below-a-file", {}), RunError);
}

TEST_CASE("a real file read and rewritten is the same, tensor for tensor and byte for byte") {
  const auto source = shared_dir() / "fixtures/hf/llama3_gqa/model.safetensors";
  if (!fs::exists(source)) SKIP_TEST("no reference checkpoints beside the checkout");
  TemporaryFolder folder;
  const auto file = SafetensorsFile::open(source);
  TensorList tensors;
  for (const auto& name : file.names()) tensors[name] = file.tensor(name);
  REQUIRE(tensors.size() > 10);
  write_safetensors(folder.path() / "a", tensors, file.metadata());
  check_same(SafetensorsFile::open(folder.path() / "a"), tensors);
  CHECK(sha256_file(folder.path() / "a") == sha256_file(source));
}
