#include "frazil/engine/record_numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <vector>

namespace frazil::engine {
namespace {

/// Reads one object from its first to its last brace without building it: a tenth of the time of a parser.
class Scanner {
 public:
  Scanner(std::string_view text, const std::function<void(std::string_view, double)>& visit)
      : text_(text), visit_(visit) {}

  void run() {
    object();
    for (const auto& [name, counts] : counts_)
      if (const auto reasons = reasons_.find(name); reasons != reasons_.end())
        for (std::size_t i = 0; i < std::min(counts.size(), reasons->second.size()); ++i)
          visit_(fmt::format("{}.{}", name, reasons->second[i]), counts[i]);
  }

 private:
  static constexpr int deepest = 100;

  void object() {
    if (!take('{') || take('}')) return;
    do {
      std::string_view key;
      if (!string(&key) || !take(':')) return stop();
      const auto length = name_.size();
      name_ += name_.empty() ? "" : ".";
      name_ += key;
      value();
      name_.resize(length);
    } while (take(','));
    if (!take('}')) stop();
  }

  void stop() { at_ = text_.size(); }
  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }

  /// @param content  with escapes as they stand
  bool string(std::string_view* content) {
    if (!take('"')) return false;
    const auto first = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return false;
    if (content != nullptr) *content = text_.substr(first, at_ - first);
    ++at_;
    return true;
  }

  void list() {
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        if (!string(nullptr)) return stop();
        --at_;
      } else if (c == '[') {
        ++depth;
      } else if (c == ']' && --depth == 0) {
        ++at_;
        return;
      }
    }
  }

  bool number(double* value) {
    (void)next();
    const auto rest = text_.substr(at_);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), *value);
    if (error != std::errc{}) return false;
    at_ += static_cast<std::size_t>(end - rest.data());
    return true;
  }

  /// A list of equals that `one` reads. @return false, standing where it stood, if it is another
  template <class T>
  bool list_of(std::vector<T>& values, bool (Scanner::*one)(T*)) {
    const auto start = at_;
    bool good = take('[');
    if (good && !take(']')) {
      do {
        good = (this->*one)(&values.emplace_back());
      } while (good && take(','));
      good = good && take(']');
    }
    if (good) return true;
    at_ = start;
    values.clear();
    return false;
  }

  /// "x_reasons": ["a", "b"] beside "x_counts": [1, 2] are the numbers x.a and x.b; other lists are passed over.
  void any_list() {
    constexpr std::string_view reasons = "_reasons", counts = "_counts";
    const auto name = std::string_view(name_);
    if (name.ends_with(reasons) && list_of(reasons_[name_.substr(0, name.size() - reasons.size())], &Scanner::string))
      return;
    if (name.ends_with(counts) && list_of(counts_[name_.substr(0, name.size() - counts.size())], &Scanner::number))
      return;
    list();
  }

  void word() {
    const auto rest = text_.substr(at_);
    for (const std::string_view known : {"true", "false", "null"})
      if (rest.starts_with(known)) {
        at_ += known.size();
        if (known != "null") visit_(name_, known == "true" ? 1 : 0);
        return;
      }
    double value = 0;
    if (!number(&value)) return stop();
    visit_(name_, value);
  }

  void value() {
    switch (next()) {
      case '{':
        if (++depth_ > deepest) return stop();
        object();
        --depth_;
        break;
      case '[':
        any_list();
        break;
      case '"':
        if (!string(nullptr)) stop();
        break;
      default:
        word();
    }
  }

  std::string_view text_;
  const std::function<void(std::string_view, double)>& visit_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string name_;
  std::map<std::string, std::vector<std::string_view>> reasons_;
  std::map<std::string, std::vector<double>> counts_;
};

}  // namespace

void for_numbers(std::string_view record, const std::function<void(std::string_view name, double value)>& visit) {
  Scanner(record, visit).run();
}

}  // namespace frazil::engine
