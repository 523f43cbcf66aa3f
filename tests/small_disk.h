// A small file system in memory, to fill up or to make read-only.
#pragma once

#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace attnlab::test {

// Mounted on a folder until the end of the scope; `mounted` is false where this user may not mount.
struct SmallDisk {
  std::filesystem::path folder;
  bool mounted = false;

  SmallDisk(std::filesystem::path where, const std::string& bytes) : folder(std::move(where)) {
    std::filesystem::create_directories(folder);
    mounted = ::mount("none", folder.c_str(), "tmpfs", 0, ("size=" + bytes).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted) ::umount2(folder.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool set_read_only(bool value) const {
    const unsigned long read_only = MS_RDONLY, flags = MS_REMOUNT | (value ? read_only : 0);
    return ::mount("none", folder.c_str(), nullptr, flags, nullptr) == 0;
  }
  // Takes all the room that is left.
  void fill() const {
    std::ofstream out(folder / "ballast", std::ios::binary);
    const std::string block(4096, 'x');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void make_room() const { std::filesystem::remove(folder / "ballast"); }
};

}  // namespace attnlab::test
