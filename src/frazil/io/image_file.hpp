// Images, stacks and volumes in files: what is in one, reading any section, writing MRC whole or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "frazil/image/image.hpp"
#include "frazil/io/pixels.hpp"

namespace frazil::io {

/// Numbers of the MRC standard.
enum class MrcMode : int { i8 = 0, i16 = 1, f32 = 2, u16 = 6, f16 = 12, u4 = 101 };

struct ImageInfo {
  int nx = 0, ny = 0;
  int nz = 0;              ///< sections: images of a stack, frames of a movie, or slices of a volume
  Angstrom pixel_size{0};  ///< 0: the file does not say
  PixelType type = PixelType::f32;
  bool is_volume = false;  ///< MRC says "volume" (ISPG ≥ 1); movies are often mislabelled, so a hint only
};

/// Size, pixel and type from the header, checked against the size of the file. MRC, TIFF and BigTIFF by content,
/// whatever the name. @throws Error(not_found|corrupt|unsupported|io)
[[nodiscard]] ImageInfo read_info(const std::filesystem::path& path);

/// Section `index`, counted from 0. pixel_size is that of the file, or 1 Å when the file does not say.
/// @throws Error(bad_input) when there is no such section, else as read_info
[[nodiscard]] Image read_image(const std::filesystem::path& path, int index = 0);
/// All sections as one volume.
[[nodiscard]] Volume read_volume(const std::filesystem::path& path);

/// "000003@stack.mrcs" is {2, "stack.mrcs"}; without '@' the index is 0. @throws Error(bad_input) for a number below 1
struct ImageReference {
  int index = 0;  ///< counted from 0
  std::string file;
};
[[nodiscard]] ImageReference split_reference(const std::string& reference);
/// Inverse: "000003@stack.mrcs" for index 2.
[[nodiscard]] std::string join_reference(int index, const std::string& file);

/// MRC written atomically: whole or absent. Integer modes round to nearest.
/// @throws Error(bad_input) when a value does not fit the mode, Error(io|resource) when writing fails
void write_image(const std::filesystem::path& path, const Image& image, MrcMode mode = MrcMode::f32);
void write_image(const std::filesystem::path& path, ImageView image, Angstrom pixel_size, MrcMode mode = MrcMode::f32);
void write_volume(const std::filesystem::path& path, const Volume& volume, MrcMode mode = MrcMode::f32);

/// An MRC stack that grows image by image under a temporary name and appears at `close`. Statistics are gathered on the
/// way and stand in the header. Destroyed without `close`, nothing is left.
class StackWriter {
 public:
  StackWriter(const std::filesystem::path& path, int nx, int ny, Angstrom pixel_size, MrcMode mode = MrcMode::f32);
  ~StackWriter();
  StackWriter(StackWriter&&) noexcept;
  StackWriter& operator=(StackWriter&&) noexcept;

  /// @throws Error(bad_input) when the size differs or a value does not fit, Error(io|resource)
  void append(ImageView image);
  [[nodiscard]] int count() const;
  /// Finishes the header, syncs and renames. A stack without images is an Error(bad_input).
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// An open stack (MRC or TIFF) read section by section; `read` may be called from many threads.
class StackReader {
 public:
  explicit StackReader(const std::filesystem::path& path);
  ~StackReader();
  StackReader(StackReader&&) noexcept;
  StackReader& operator=(StackReader&&) noexcept;

  [[nodiscard]] const ImageInfo& info() const;
  /// @throws Error(bad_input) when there is no such section
  [[nodiscard]] Image read(int index) const;
  /// Into memory that the caller keeps; resized only when its size differs.
  void read(int index, Image& out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace frazil::io
