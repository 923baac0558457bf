#include "frazil/io/image_file.hpp"

#include <charconv>

#include "frazil/base/error.hpp"
#include "frazil/io/frame_file.hpp"
#include "frazil/io/movie_file.hpp"

namespace frazil::io {

ImageInfo read_info(const std::filesystem::path& path) { return FrameFile(path).info(); }

Image read_image(const std::filesystem::path& path, int index) {
  Image image;
  FrameFile(path).read(index, image);
  return image;
}

Volume read_volume(const std::filesystem::path& path) {
  const FrameFile file(path);
  const auto& info = file.info();
  Volume volume(info.nx, info.ny, info.nz, info.pixel_size > 0_A ? info.pixel_size : 1_A);
  const auto section = static_cast<std::ptrdiff_t>(info.nx) * info.ny;
  for (int z = 0; z < info.nz; ++z) file.read(z, ImageSpan{volume.data() + section * z, info.nx, info.ny, info.nx});
  return volume;
}

ImageReference split_reference(const std::string& reference) {
  const auto at = reference.find('@');
  if (at == std::string::npos) return {0, reference};
  int number = 0;
  const auto result = std::from_chars(reference.data(), reference.data() + at, number);
  if (result.ec != std::errc() || result.ptr != reference.data() + at || number < 1)
    throw Error(ErrorCode::bad_input, "\"{}\": before '@' a number from 1 is expected", reference);
  return {number - 1, reference.substr(at + 1)};
}

std::string join_reference(int index, const std::string& file) { return fmt::format("{:06d}@{}", index + 1, file); }

struct StackReader::State {
  FrameFile file;
};
StackReader::StackReader(const std::filesystem::path& path) : state_(new State{FrameFile(path)}) {}
StackReader::~StackReader() = default;
StackReader::StackReader(StackReader&&) noexcept = default;
StackReader& StackReader::operator=(StackReader&&) noexcept = default;
const ImageInfo& StackReader::info() const { return state_->file.info(); }
void StackReader::read(int index, Image& out) const { state_->file.read(index, out); }
Image StackReader::read(int index) const {
  Image image;
  read(index, image);
  return image;
}

struct MovieReader::State {
  FrameFile file;
};
MovieReader::MovieReader(const std::filesystem::path& path, const EerView& eer)
    : state_(new State{FrameFile(path, eer)}) {}
MovieReader::MovieReader(ByteSource source, const EerView& eer)
    : state_(new State{FrameFile(std::move(source), eer)}) {}
MovieReader::~MovieReader() = default;
MovieReader::MovieReader(MovieReader&&) noexcept = default;
MovieReader& MovieReader::operator=(MovieReader&&) noexcept = default;
std::string MovieReader::content_hash() const { return state_->file.content_hash(); }
const ImageInfo& MovieReader::info() const { return state_->file.info(); }
const EerFile* MovieReader::eer() const { return state_->file.eer(); }
void MovieReader::read_frame(int index, Image& out, int threads) const { state_->file.read(index, out, threads); }
void MovieReader::read_counts(int index, Counts& out, int threads) const { state_->file.read(index, out, threads); }
Image MovieReader::read_frame(int index, int threads) const {
  Image image;
  read_frame(index, image, threads);
  return image;
}

}  // namespace frazil::io
