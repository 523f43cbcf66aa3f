#include "train/state_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "checkpoint/temporary_file.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

constexpr const char* digest_key = "sha256";

// age 0: the newest.
fs::path state_of_age(const fs::path& path, int64_t age) {
  if (age == 0) return path;
  return path.parent_path() / fmt::format("{}.{}{}", path.stem().string(), age, path.extension().string());
}

fs::path unfinished(const fs::path& path) {
  return path.parent_path() / (path.stem().string() + ".new" + path.extension().string());
}

// Those that are there, the newest first. A kill while states move on may leave out one.
std::vector<fs::path> existing(const fs::path& path) {
  std::vector<fs::path> found;
  for (int64_t age = 0, missing = 0; missing < 2; ++age)
    if (fs::exists(state_of_age(path, age))) {
      found.push_back(state_of_age(path, age));
      missing = 0;
    } else {
      ++missing;
    }
  return found;
}

// Of names, types, shapes, values and texts, wherever they lie in the file.
std::string digest_of(const TensorList& tensors, const std::map<std::string, std::string>& metadata) {
  std::string lines;
  for (const auto& [key, text] : metadata)
    if (key != digest_key) lines += fmt::format("{} {} {}\n", key, text.size(), text);
  for (const auto& [name, tensor] : tensors) {
    const auto values = tensor.detach().to(torch::kCPU).contiguous();
    const std::string_view bytes(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
    lines += fmt::format("{} {} [{}] {}\n", name, c10::toString(values.scalar_type()),
                         fmt::join(values.sizes().vec(), ","), sha256(bytes));
  }
  return sha256(lines);
}

void move_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw RunError(fmt::format("{}: cannot rename: {}", to.string(), std::strerror(errno)));
}

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw InputError(BadInput{.file = path.string(),
                            .found = "a damaged state (" + why + ")",
                            .expected = "one as it was written; delete it to start this run over"});
}

struct WholeState {
  std::optional<SafetensorsFile> file;
  std::vector<InputError> damaged;  // what is wrong with newer ones
};

WholeState first_whole(const std::vector<fs::path>& states) {
  WholeState found;
  for (const auto& state : states) {
    try {
      found.file = open_state(state);
      break;
    } catch (const InputError& error) {
      found.damaged.push_back(error);
    }
  }
  return found;
}

}  // namespace

void write_state(const fs::path& path, const TensorList& tensors, std::map<std::string, std::string> metadata,
                 int64_t keep) {
  metadata[digest_key] = digest_of(tensors, metadata);
  const fs::path fresh = unfinished(path);
  write_safetensors(fresh, tensors, metadata);
  for (int64_t age = keep - 1; age >= 1; --age)
    if (fs::exists(state_of_age(path, age - 1)))
      move_file(state_of_age(path, age - 1), state_of_age(path, age));
  move_file(fresh, path);
  sync_folder(path.parent_path().empty() ? fs::path(".") : path.parent_path());
}

SafetensorsFile open_state(const fs::path& path) {
  try {
    const auto file = SafetensorsFile::open(path);
    const auto written = file.metadata().find(digest_key);
    if (written == file.metadata().end()) refuse(path, "without a SHA-256");
    TensorList tensors;
    for (const auto& name : file.names()) tensors[name] = file.tensor(name);
    if (digest_of(tensors, file.metadata()) != written->second) refuse(path, "its SHA-256 is another one");
    return file;
  } catch (const InputError& error) {
    if (error.problem().found.starts_with("a damaged state")) throw;
    BadInput inner = error.problem();
    inner.file.clear();
    refuse(path, describe(inner));
  }
}

std::optional<FoundState> find_state(const fs::path& path) {
  const auto states = existing(path);
  if (states.empty()) return std::nullopt;
  auto [whole, damaged] = first_whole(states);
  if (whole) {
    FoundState found{.file = std::move(*whole), .damaged = {}};
    for (size_t i = 0; i < damaged.size(); ++i) {
      found.damaged.emplace_back(damaged[i].what());
      remove_file(states[i]);
    }
    return found;
  }
  if (states.size() == 1) throw damaged.front();
  std::vector<std::string> names;
  for (const auto& state : states) names.push_back(state.filename().string());
  throw InputError(BadInput{.file = states[0].parent_path().string(),
                            .found = fmt::format("{} damaged states", states.size()),
                            .expected = fmt::format("one as it was written; delete {} to start this run over",
                                                    fmt::join(names, " and "))});
}

std::optional<SafetensorsFile> newest_state(const fs::path& path) { return first_whole(existing(path)).file; }

void remove_states(const fs::path& path) {
  for (const auto& state : existing(path)) remove_file(state);
  remove_file(unfinished(path));
}

}  // namespace attnlab
