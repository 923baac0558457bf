#include "frazil/base/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "frazil/base/durability.hpp"
#include "frazil/base/error.hpp"
#include "frazil/base/no_space.hpp"

namespace frazil {
namespace {

std::atomic<bool> durable{true};

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view doing, int error) {
  if (is_no_space(error)) throw NoSpace("{}: {} failed: {}", path.string(), doing, std::strerror(error));
  throw Error(error == EMFILE ? ErrorCode::resource : ErrorCode::io, "{}: {} failed: {}", path.string(), doing,
              std::strerror(error));
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  auto name = fmt::format(".{}.{}.{}.tmp", path.filename().string(), ::getpid(), counter++);
  return path.parent_path() / name;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(temporary_beside(path_)) {}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  if (!committed_) std::filesystem::remove(temporary_, ignored);
}

void set_durable(bool on) { durable = on; }
bool is_durable() { return durable; }

void AtomicFile::commit() {
  if (is_durable()) sync_path(temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "renaming the finished file", errno);
  committed_ = true;
  const auto folder = path_.parent_path();
  if (is_durable()) sync_path(folder.empty() ? "." : folder);
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  std::ofstream out(file.temporary(), std::ios::binary);
  if (!out) fail(path, "opening for writing", errno);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.flush();
  if (!out) fail(path, "writing", errno != 0 ? errno : EIO);
  out.close();
  file.commit();
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorCode::not_found, "{}: cannot be opened for reading", path.string());
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) throw Error(ErrorCode::io, "{}: reading failed", path.string());
  return std::move(text).str();
}

void sync_path(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, "opening for sync", errno);
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  if (result != 0 && error != EINVAL) fail(path, "sync to disk", error);  // EINVAL: this file system has no sync
}

void make_folders(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(folder, "creating the folder", error.value());
}

}  // namespace frazil
