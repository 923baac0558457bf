#include "frazil/flow/file_hashes.hpp"

#include <sys/stat.h>

#include "frazil/base/error.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/params/json.hpp"

namespace frazil::flow {

FileHashes::FileHashes(std::string_view text) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return;
  for (const auto& [path, entry] : json.items())
    if (entry.is_object())
      known_[path] = {entry.value("size", std::int64_t{0}), entry.value("mtime_ns", std::int64_t{0}),
                      entry.value("inode", std::uint64_t{0}), entry.value("hash", "")};
}

std::string FileHashes::text() const {
  Json json = Json::object();
  for (const auto& [path, known] : known_)
    json[path] = {{"size", known.size}, {"mtime_ns", known.mtime_ns}, {"inode", known.inode}, {"hash", known.hash}};
  return json.dump();
}

/// Fills all but the hash. @return false if there is no such file
bool FileHashes::look(const std::string& path, Known& state) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  state.size = info.st_size;
  state.mtime_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  state.inode = info.st_ino;
  return true;
}

std::string FileHashes::of(const std::string& path) {
  if (path.empty()) return {};
  const auto found = known_.find(path);
  Known now;
  if (!look(path, now)) return found == known_.end() ? "no file " + path : "content " + found->second.hash;
  if (found != known_.end() && found->second.size == now.size && found->second.mtime_ns == now.mtime_ns &&
      found->second.inode == now.inode)
    return "content " + found->second.hash;
  now.hash = hash_file(path);
  known_[path] = now;
  return "content " + now.hash;
}

std::vector<std::string> FileHashes::changed() const {
  std::vector<std::string> list;
  for (const auto& [path, known] : known_) {
    Known now;
    if (!look(path, now) || (known.size == now.size && known.mtime_ns == now.mtime_ns && known.inode == now.inode))
      continue;
    if (known.hash != hash_file(path)) list.push_back(path);
  }
  return list;
}

}  // namespace frazil::flow
