#include "frazil/io/byte_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "frazil/base/error.hpp"
#include "frazil/base/parallel.hpp"

namespace frazil::io {
namespace {

ErrorCode code_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return ErrorCode::not_found;
  if (error == EMFILE || error == ENFILE || error == ENOMEM) return ErrorCode::resource;
  return ErrorCode::io;
}

}  // namespace

ByteSource ByteSource::open(const std::filesystem::path& path) {
  ByteSource source;
  source.name_ = path.string();
  source.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (source.fd_ < 0) throw Error(code_of(errno), "{}: cannot be opened: {}", source.name_, std::strerror(errno));
  struct stat status {};
  if (::fstat(source.fd_, &status) != 0)
    throw Error(ErrorCode::io, "{}: no status: {}", source.name_, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::bad_input, "{}: a regular file is expected", source.name_);
  source.size_ = static_cast<std::uint64_t>(status.st_size);
  return source;
}

ByteSource ByteSource::open_hashed(const std::filesystem::path& path) {
  auto source = open(path);
  source.hasher_ = std::make_unique<ContentHasher>(source.size_);
  return source;
}

ByteSource ByteSource::memory(std::string name, std::span<const std::byte> bytes) {
  ByteSource source;
  source.name_ = std::move(name);
  source.size_ = bytes.size();
  source.memory_ = bytes;
  return source;
}

ByteSource::~ByteSource() {
  if (fd_ >= 0) ::close(fd_);
}

ByteSource::ByteSource(ByteSource&& other) noexcept
    : name_(std::move(other.name_)),
      size_(other.size_),
      fd_(std::exchange(other.fd_, -1)),
      memory_(other.memory_),
      held_(std::move(other.held_)),
      hasher_(std::move(other.hasher_)) {}

ByteSource& ByteSource::operator=(ByteSource&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(memory_, other.memory_);
  std::swap(held_, other.held_);
  std::swap(hasher_, other.hasher_);
  return *this;
}

void ByteSource::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!holds(offset, out.size()))
    throw Error(ErrorCode::corrupt, "{}: {} bytes at offset {} are needed, the file has {} bytes", name_, out.size(),
                offset, size_);
  if (fd_ < 0 || held_) {
    if (!out.empty()) std::memcpy(out.data(), memory_.data() + offset, out.size());
    return;
  }
  read_file(offset, out);
  if (hasher_) hasher_->add(offset, out);
}

void ByteSource::read_file(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const auto got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorCode::io, "{}: reading at offset {} failed: {}", name_, offset, std::strerror(errno));
    if (got == 0)
      throw Error(ErrorCode::io, "{}: the file became shorter than {} bytes while it was read", name_, size_);
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void ByteSource::hold(int threads) {
  if (fd_ < 0 || held_) return;
  constexpr std::uint64_t piece = 4U << 20U;
  auto bytes = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(size_));  // NOLINT: as held_
  parallel_for(threads, static_cast<std::size_t>((size_ + piece - 1) / piece), [&](std::size_t i) {
    const auto offset = i * piece;
    read(offset, {bytes.get() + offset, static_cast<std::size_t>(std::min(piece, size_ - offset))});
  });
  memory_ = {bytes.get(), static_cast<std::size_t>(size_)};
  held_ = std::move(bytes);
}

std::string ByteSource::content_hash() const {
  expect(hasher_ != nullptr, "the file was opened to be hashed");
  return hasher_->finish([&](std::uint64_t offset, std::span<std::byte> out) { read_file(offset, out); });
}

std::vector<std::byte> ByteSource::head(std::size_t count) const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, size_)));
  read(0, bytes);
  return bytes;
}

}  // namespace frazil::io
