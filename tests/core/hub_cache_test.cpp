// A cache as huggingface_hub lays it out: refs/main names the commit, snapshots hold links to blobs.
#include "core/hub_cache.h"

#include <cstdlib>
#include <optional>

#include "catch.h"
#include "core/files.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

// Sets a variable of the environment for the length of a scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    if (value.empty()) {
      unsetenv(name);
    } else {
      setenv(name, value.c_str(), 1);
    }
  }
  ~Variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST_CASE("what is a hub id, and what is a path") {
  for (const char* id : {"Qwen/Qwen2.5-0.5B", "a/b", "meta-llama/Llama-3.2-1B_x"}) CHECK(is_hub_id(id));
  for (const char* path : {"", "a", "/a/b", "./a", "../a", "a/b/c", "a/", "a/..", "a/b c", "a/-b", "data/x."})
    CHECK_FALSE(is_hub_id(path));
}

TEST_CASE("the cache lies where huggingface_hub has it") {
  const Variable cache("HF_HUB_CACHE", ""), home("HF_HOME", ""), xdg("XDG_CACHE_HOME", ""), user("HOME", "/u");
  CHECK(hub_folder("a/b.c") == "/u/.cache/huggingface/hub/models--a--b.c");
  const Variable xdg2("XDG_CACHE_HOME", "/x");
  CHECK(hub_folder("a/b") == "/x/huggingface/hub/models--a--b");
  const Variable home2("HF_HOME", "/h");
  CHECK(hub_folder("a/b") == "/h/hub/models--a--b");
  const Variable cache2("HF_HUB_CACHE", "/c");
  CHECK(hub_folder("a/b") == "/c/models--a--b");
}

TEST_CASE("an id stands for the snapshot of its main revision, where the cache has it") {
  const test::TemporaryFolder folder;
  const Variable home("HF_HOME", folder.path().string()), cache("HF_HUB_CACHE", "");
  const fs::path model = folder.path() / "hub/models--some--model";
  CHECK(find_model_folder("some/model") == "some/model");
  write_file_atomic(model / "snapshots/abc123/config.json", "{}");
  CHECK(find_model_folder("some/model") == "some/model");
  write_file_atomic(model / "refs/main", "abc123\n");
  CHECK(find_model_folder("some/model") == model / "snapshots/abc123");
  CHECK(find_model_folder("/some/model") == "/some/model");
  write_file_atomic(model / "refs/main", "../../elsewhere");
  CHECK(find_model_folder("some/model") == "some/model");
}

}  // namespace
}  // namespace attnlab
