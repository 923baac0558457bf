#include "frazil/engine/lease.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/process.hpp"
#include "frazil/params/fields.hpp"

namespace frazil::engine {

std::optional<Holder> lease_holder(const std::filesystem::path& project) {
  const auto path = project / "engine.lock";
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;                           // nobody ever worked on it, or not where we may see it
  const bool is_free = ::flock(file, LOCK_SH | LOCK_NB) == 0;  // ours for a moment: whoever starts now tries again
  ::close(file);
  if (is_free) return std::nullopt;
  const auto text = Json::parse(read_text(path), nullptr, false);
  if (!text.is_object()) return Holder{};
  return Holder{text.value("host", ""), text.value("pid", 0), text.value("socket", "")};
}

Lease::Lease(const std::filesystem::path& project, double wait_s) : path_(project / "engine.lock") {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) throw Error(ErrorCode::io, "{}: cannot be opened: {}", path_.string(), std::strerror(errno));
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait_s);
  while (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      const int error = errno;
      ::close(file_);
      throw Error(ErrorCode::io, "{}: cannot be locked: {}", path_.string(), std::strerror(error));
    }
    if (std::chrono::steady_clock::now() > until) {
      ::close(file_);
      const auto holder = Json::parse(read_text(path_), nullptr, false);
      throw Error(ErrorCode::resource, "{}: another engine works on this project: process {} on {}", project.string(),
                  holder.is_object() ? holder.value("pid", 0) : 0,
                  holder.is_object() ? holder.value("host", "an unknown host") : "an unknown host");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Lease::~Lease() { ::close(file_); }

void Lease::sign(long epoch) {
  const auto text = Json({{"host", host_name()},
                          {"pid", ::getpid()},
                          {"epoch", epoch},
                          {"socket", control_socket(path_.parent_path()).string()}})
                        .dump() +
                    "\n";
  signed_ = text;
  if (::ftruncate(file_, 0) != 0 || ::pwrite(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw Error(ErrorCode::io, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
}

bool Lease::is_ours() const {
  std::error_code missing;
  if (!std::filesystem::exists(path_, missing)) return true;
  const auto text = read_text(path_);
  return text == signed_ || Json::parse(text, nullptr, false).is_discarded();  // somebody is just writing
}

std::filesystem::path control_socket(const std::filesystem::path& project) {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const auto folder = runtime != nullptr && std::filesystem::is_directory(runtime)
                          ? std::filesystem::path(runtime) / "frazil"
                          : std::filesystem::path(fmt::format("/tmp/frazil-{}", ::getuid()));
  make_folders(folder);
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::getuid())
    throw Error(ErrorCode::resource, "{}: must be a folder of your own for frazil's sockets", folder.string());
  ::chmod(folder.c_str(), 0700);
  return folder / (hash_of({std::filesystem::weakly_canonical(project).string()}).substr(0, 24) + ".sock");
}

}  // namespace frazil::engine
