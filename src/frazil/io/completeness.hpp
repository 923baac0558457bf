// Is a movie or image file all there? Decided by its structure, without decoding a pixel.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "frazil/io/byte_source.hpp"

namespace frazil::io {

enum class FileState {
  complete,  ///< header, directories and data agree
  growing,   ///< a prefix of a valid file: more bytes may make it complete (or it was cut off: time tells)
  broken     ///< no further bytes can repair it
};
[[nodiscard]] std::string_view to_string(FileState state);

struct Completeness {
  FileState state = FileState::broken;
  std::string reason;  ///< one sentence naming the file, empty when complete beyond doubt
  int frames = 0;      ///< whole frames present, as far as known
  /// Complete against what the header says, which `reason` tells: true for a moment of a file still being written too.
  bool is_doubtful = false;
};

/// MRC: size against header; without an extended header that is promised and not there, and with less than a frame
/// behind the data, it is doubtful. TIFF, BigTIFF and EER: the directory chain ends and every strip lies in the file.
/// PNG, JPEG: end marker. DM3, DM4: all tags lie in the file. EER without TIFF: the last frame has its footer. Empty:
/// growing. Cost: one header and the directories.
/// @param expected_frames  when above 0, fewer frames than this are `growing` even if the structure is sound: TIFF
///        writers close the chain after every frame
/// @throws Error(not_found|io) only; the state of the content is a value
[[nodiscard]] Completeness check_complete(const std::filesystem::path& path, int expected_frames = 0);
[[nodiscard]] Completeness check_complete(const ByteSource& source, int expected_frames = 0);

}  // namespace frazil::io
