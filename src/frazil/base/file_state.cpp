#include "frazil/base/file_state.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "frazil/base/error.hpp"

namespace frazil {

std::string file_state(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    throw Error(ErrorCode::not_found, "{}: {}", path.string(), std::strerror(errno));
  return fmt::format("{}:{}:{}:{}.{:09}:{}.{:09}", info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

}  // namespace frazil
