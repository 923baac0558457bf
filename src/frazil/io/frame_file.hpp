// An open image file of any container, as equal sections that can be read in any order by any thread.
#pragma once

#include <filesystem>
#include <variant>

#include "frazil/io/byte_source.hpp"
#include "frazil/io/dm.hpp"
#include "frazil/io/eer.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/mrc.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {

class FrameFile {
 public:
  /// The container is told by content. @throws Error(not_found|corrupt|unsupported|io)
  /// @param eer  what the sections of an EER file are; ignored for other files
  explicit FrameFile(ByteSource source, const EerView& eer = {});
  explicit FrameFile(const std::filesystem::path& path, const EerView& eer = {})
      : FrameFile(ByteSource::open(path), eer) {}

  [[nodiscard]] const ImageInfo& info() const { return info_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool is_tiff() const { return std::holds_alternative<TiffIndex>(container_); }
  /// The events behind the sections; null for other files.
  [[nodiscard]] const EerFile* eer() const { return std::get_if<EerFile>(&container_); }
  /// Of a source that was opened for that: ByteSource::content_hash.
  [[nodiscard]] std::string content_hash() const {
    return eer() != nullptr ? eer()->content_hash() : source_.content_hash();
  }
  /// `out` has nx × ny pixels. @throws Error(bad_input) when there is no such section
  void read(int index, ImageSpan out, int threads = 1) const;
  /// `out` is resized when its size differs; its pixel_size becomes the file's, or 1 Å when unknown.
  void read(int index, Image& out, int threads = 1) const;
  /// `out` is made anew when its size or type differs from the file's.
  void read(int index, Counts& out, int threads = 1) const;

 private:
  std::string name_;
  ByteSource source_;
  std::variant<MrcHeader, TiffIndex, EerFile, DmImage> container_;
  EerView view_;
  ImageInfo info_;
};

}  // namespace frazil::io
