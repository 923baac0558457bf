// A value for each subject, in chunks that publications share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace frazil::engine {

/// Copying a column copies pointers to its chunks. Whoever edits it gives the number of the publication that is being
/// prepared: a chunk of an earlier one may be read by others meanwhile and is copied first.
template <class T>
class Column {
 public:
  static constexpr std::size_t chunk = 1024;

  Column() = default;
  explicit Column(T none) : none_(std::move(none)) {}

  /// The value of nobody where none was set.
  [[nodiscard]] const T& operator[](std::size_t at) const {
    const auto place = at / chunk;
    return place < chunks_.size() && chunks_[place] != nullptr ? chunks_[place]->values[at % chunk] : none_;
  }
  [[nodiscard]] const T& operator[](int at) const { return (*this)[static_cast<std::size_t>(at)]; }

  void set(int subject, T value, std::uint64_t publication) {
    const auto at = static_cast<std::size_t>(subject);
    const auto place = at / chunk;
    if (chunks_.size() <= place) chunks_.resize(place + 1);
    auto& found = chunks_[place];
    if (found == nullptr) {
      found = std::make_shared<Chunk>();
      found->values.fill(none_);
      found->publication = publication;
    } else if (found->publication != publication) {
      found = std::make_shared<Chunk>(*found);
      found->publication = publication;
    }
    found->values[at % chunk] = std::move(value);
  }

 private:
  struct Chunk {
    std::uint64_t publication = 0;  ///< for which it was made
    std::array<T, chunk> values;
  };
  std::vector<std::shared_ptr<Chunk>> chunks_;
  T none_{};
};

}  // namespace frazil::engine
