#include "frazil/protocols/set_star.hpp"

#include <algorithm>
#include <map>

#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/protocols/ctf_star.hpp"
#include "frazil/protocols/particle_files.hpp"

namespace frazil::protocols {
namespace {

constexpr std::size_t rows_for_widths = 100;  ///< that decide how wide columns are (StarLoop)

std::string optics_text(const std::vector<io::OpticsGroup>& groups) {
  io::StarFile file;
  file.add(io::optics_table(groups));
  return io::format_star(file);
}

/// A group as text: equal for equal ones.
std::string text_of(const io::OpticsGroup& group) {
  return Json({group.id, group.name, record_to_json(group.optics), group.image_pixel_size.value(),
               group.micrograph_pixel_size.value(), group.original_pixel_size.value(), group.image_size})
      .dump();
}

io::OpticsGroup micrograph_group(const Optics& optics, Angstrom pixel_size) {
  io::OpticsGroup group;
  group.optics = optics;
  group.micrograph_pixel_size = pixel_size;
  group.original_pixel_size = pixel_size;
  return group;
}

// ---- a row a record ---------------------------------------------------------------------------------------------

/// What is written of one kind: the optics group of a record, if it has one, and its rows with the numbers of groups.
template <class R>
struct Rows;

template <>
struct Rows<Movie> {
  static io::OpticsGroup group(const Movie& movie) {
    io::OpticsGroup group;
    group.optics = movie.optics;
    group.original_pixel_size = movie.pixel_size;
    return group;
  }
  static io::StarTable table(const std::vector<Movie>& movies) {
    io::StarTable table("movies", {"rlnMicrographMovieName", "rlnOpticsGroup"});
    for (const auto& movie : movies) table.set(table.add_row(), "rlnMicrographMovieName", movie.path);
    return table;
  }
};

template <>
struct Rows<Micrograph> {
  static io::OpticsGroup group(const Micrograph& mic) { return micrograph_group(mic.optics, mic.pixel_size); }
  static io::StarTable table(const std::vector<Micrograph>& mics) {
    io::StarTable table("micrographs", {"rlnMicrographName", "rlnOpticsGroup"});
    for (const auto& mic : mics) table.set(table.add_row(), "rlnMicrographName", mic.path);
    return table;
  }
};

template <>
struct Rows<CtfFit> {
  static io::OpticsGroup group(const CtfFit& fit) { return micrograph_group(fit.optics, fit.pixel_size); }
  static io::StarTable table(const std::vector<CtfFit>& fits) { return ctf_table("micrographs", fits); }
};

template <>
struct Rows<Motion> {
  static io::StarTable table(const std::vector<Motion>& motions) {
    io::StarTable table("micrographs", {"rlnMicrographName", "rlnMicrographMetadata", "rlnAccumMotionTotal"});
    for (const auto& m : motions) {
      const auto row = table.add_row();
      table.set(row, "rlnMicrographName", m.micrograph_dw.empty() ? m.micrograph : m.micrograph_dw);
      table.set(row, "rlnMicrographMetadata", m.star);
      table.set(row, "rlnAccumMotionTotal", m.total_path.value());
    }
    return table;
  }
};

template <>
struct Rows<Coordinates> {
  static io::StarTable table(const std::vector<Coordinates>& list) {
    io::StarTable table("coordinate_files", {"rlnMicrographName", "rlnMicrographCoordinates"});
    for (const auto& c : list) {
      const auto row = table.add_row();
      table.set(row, "rlnMicrographName", c.micrograph);
      table.set(row, "rlnMicrographCoordinates", c.coordinates);
    }
    return table;
  }
};

template <class R>
constexpr bool has_groups = requires(const R& record) {
  Rows<R>::group(record);
};

template <class R>
std::string part_of(const R& record) {
  if constexpr (has_groups<R>)
    return text_of(Rows<R>::group(record));
  else
    return {};
}

template <class R>
class RowLayout final : public flow::TableLayout {
 public:
  RowLayout(std::vector<io::OpticsGroup> groups, std::map<std::string, int> numbers, const std::vector<R>& first)
      : groups_(std::move(groups)), numbers_(std::move(numbers)), loop_(table(first)) {}

  std::string head() const override { return (has_groups<R> ? optics_text(groups_) : std::string()) + loop_.head(); }
  std::string tail() const override { return io::StarLoop::tail(); }
  std::string rows(const Json& record) const override {
    std::string text;
    loop_.append(table({record_from_json<R>(record)}), text);
    return text;
  }
  std::string basis(const std::string& part) const override {
    return has_groups<R> ? fmt::format("{} {}", numbers_.at(part), loop_.basis()) : loop_.basis();
  }

 private:
  io::StarTable table(const std::vector<R>& records) const {
    auto table = Rows<R>::table(records);
    if constexpr (has_groups<R>)
      for (std::size_t row = 0; row < records.size(); ++row)
        table.set(row, "rlnOpticsGroup", numbers_.at(part_of(records[row])));
    return table;
  }

  std::vector<io::OpticsGroup> groups_;
  std::map<std::string, int> numbers_;  ///< by part
  io::StarLoop loop_;
};

template <class R>
class RowFormat final : public flow::TableFormat {
 public:
  std::string part(const Json& json) override {
    const auto record = record_from_json<R>(json);
    auto part = part_of(record);
    if constexpr (has_groups<R>) groups_.try_emplace(part, Rows<R>::group(record));
    return part;
  }
  std::unique_ptr<flow::TableLayout> layout(const std::vector<std::string>& parts, const NextRecord& next) override {
    std::vector<io::OpticsGroup> groups;
    std::map<std::string, int> numbers;
    if constexpr (has_groups<R>)
      for (const auto& part : parts) numbers[part] = io::add_group(groups, groups_.at(part));
    std::vector<R> first;
    while (first.size() < rows_for_widths) {
      const auto record = next();
      if (!record) break;
      first.push_back(record_from_json<R>(*record));
    }
    return std::make_unique<RowLayout<R>>(std::move(groups), std::move(numbers), first);
  }

 private:
  std::map<std::string, io::OpticsGroup> groups_;  ///< by part
};

// ---- particles --------------------------------------------------------------------------------------------------

/// The table that a record names; the last one is kept, since its part is asked for first and then its rows.
class ParticleTable {
 public:
  explicit ParticleTable(std::filesystem::path project) : project_(std::move(project)) {}

  const io::StarFile& read(const Particles& record) {
    if (name_ != record.star) {
      name_.clear();
      file_ = io::read_star(project_ / record.star);
      name_ = record.star;
    }
    return file_;
  }

 private:
  std::filesystem::path project_;
  std::string name_;
  io::StarFile file_;
};

/// Rows of many tables in one.
class ParticleLayout final : public flow::TableLayout {
 public:
  /// @param parts  by their text: numbers in `merge`
  ParticleLayout(TableMerge merge, std::map<std::string, std::size_t> parts, std::shared_ptr<ParticleTable> tables,
                 std::function<std::string(const Json&)> part_of, const flow::TableFormat::NextRecord& next)
      : merge_(std::move(merge)), parts_(std::move(parts)), tables_(std::move(tables)), part_of_(std::move(part_of)) {
    auto first = merge_.table();
    while (first.rows() < rows_for_widths) {
      const auto record = next();
      if (!record) break;
      append(*record, first);
    }
    loop_.emplace(first);
  }

  std::string head() const override { return optics_text(merge_.groups()) + loop_->head(); }
  std::string tail() const override { return io::StarLoop::tail(); }
  std::string rows(const Json& record) const override {
    std::string text;
    auto table = merge_.table();
    append(record, table);
    loop_->append(table, text);
    return text;
  }
  std::string basis(const std::string& part) const override {
    if (part.empty()) return "no rows";
    return fmt::format("{} {}", fmt::join(merge_.numbers(parts_.at(part)), " "), loop_->basis());
  }

 private:
  void append(const Json& json, io::StarTable& table) const {
    const auto part = part_of_(json);
    if (!part.empty()) merge_.append(tables_->read(record_from_json<Particles>(json)), parts_.at(part), table);
  }

  TableMerge merge_;
  std::map<std::string, std::size_t> parts_;
  std::shared_ptr<ParticleTable> tables_;
  std::function<std::string(const Json&)> part_of_;
  std::optional<io::StarLoop> loop_;
};

class ParticleFormat final : public flow::TableFormat {
 public:
  explicit ParticleFormat(const std::filesystem::path& project) : tables_(std::make_shared<ParticleTable>(project)) {}

  std::string part(const Json& json) override {
    const auto record = record_from_json<Particles>(json);
    if (record.count <= 0) return {};
    const auto part = TableMerge::part_of(tables_->read(record));
    if (!part) return {};
    Json text = {part->columns, Json::array()};
    for (const auto& group : part->groups) text[1].push_back(text_of(group));
    return parts_.try_emplace(text.dump(), *part).first->first;
  }
  std::unique_ptr<flow::TableLayout> layout(const std::vector<std::string>& parts, const NextRecord& next) override {
    TableMerge merge;
    std::map<std::string, std::size_t> numbers;
    for (const auto& text : parts)
      if (!text.empty()) numbers[text] = merge.add(parts_.at(text));
    merge.finish();
    return std::make_unique<ParticleLayout>(
        std::move(merge), std::move(numbers), tables_, [this](const Json& json) { return part(json); }, next);
  }

 private:
  std::shared_ptr<ParticleTable> tables_;
  std::map<std::string, TablePart> parts_;  ///< by their text
};

// ---- what is not kept -------------------------------------------------------------------------------------------

/// Micrographs that are not kept, and why; columns of our own, which other programs pass over.
io::StarTable aside_table(const std::vector<Json>& records) {
  io::StarTable table("micrographs", {"rlnMicrographName", "frazilName", "frazilState", "frazilStep", "frazilReason"});
  for (const auto& json : records) {
    const auto row = table.add_row();
    table.set(row, "rlnMicrographName", json.value("file", ""));
    table.set(row, "frazilName", json.value("name", ""));
    table.set(row, "frazilState", json.value("state", ""));
    table.set(row, "frazilStep", json.value("step", ""));
    table.set(row, "frazilReason", json.value("reason", ""));
  }
  return table;
}

class AsideLayout final : public flow::TableLayout {
 public:
  explicit AsideLayout(const std::vector<Json>& first) : loop_(aside_table(first)) {}
  std::string head() const override { return loop_.head(); }
  std::string tail() const override { return io::StarLoop::tail(); }
  std::string rows(const Json& record) const override {
    std::string text;
    loop_.append(aside_table({record}), text);
    return text;
  }
  std::string basis(const std::string&) const override { return loop_.basis(); }

 private:
  io::StarLoop loop_;
};

class AsideFormat final : public flow::TableFormat {
 public:
  std::string part(const Json&) override { return {}; }
  std::unique_ptr<flow::TableLayout> layout(const std::vector<std::string>&, const NextRecord& next) override {
    std::vector<Json> first;
    while (first.size() < rows_for_widths) {
      auto record = next();
      if (!record) break;
      first.push_back(std::move(*record));
    }
    return std::make_unique<AsideLayout>(first);
  }
};

template <class R>
std::unique_ptr<flow::TableFormat> format_of(Type<R>, const std::filesystem::path& project) {
  if constexpr (std::is_same_v<R, Particles>)
    return std::make_unique<ParticleFormat>(project);
  else if constexpr (requires(const std::vector<R>& records) { Rows<R>::table(records); })
    return std::make_unique<RowFormat<R>>();
  else
    return nullptr;
}

}  // namespace

std::vector<flow::KeptTable> final_tables(const flow::Plan& plan) {
  flow::KeptTable kept{"kept_micrographs", {}, flow::KeptTable::Which::kept};
  flow::KeptTable others{"set_aside_micrographs", {}, flow::KeptTable::Which::others};
  flow::KeptTable particles{"kept_particles", {}};
  const auto steps = static_cast<int>(plan.steps.size());
  for (int i = steps - 1; i >= 0; --i) {
    const auto& planned = plan.steps[static_cast<std::size_t>(i)];
    const auto& protocol = *planned.protocol;
    for (int port = 0; port < static_cast<int>(protocol.outputs.size()); ++port) {
      const auto& output = protocol.outputs[static_cast<std::size_t>(port)];
      if (output.name == "set_aside") continue;
      if (output.kind == Particles::kind) particles.from.push_back({i, port});
      const bool tells_micrographs = output.kind == CtfFit::kind || output.kind == Micrograph::kind;
      if (tells_micrographs && !planned.versioned && protocol.shape != flow::Shape::source)
        kept.from.push_back({i, port});
      if (protocol.shape == flow::Shape::source && (output.kind == Movie::kind || output.kind == Micrograph::kind))
        others.from = {{i, port}};
    }
  }
  // A table with the CTF before one with names alone, the last filter before what it judged.
  std::stable_sort(kept.from.begin(), kept.from.end(), [&](const flow::Endpoint& a, const flow::Endpoint& b) {
    const auto rank = [&](const flow::Endpoint& from) {
      const auto& protocol = *plan.steps[static_cast<std::size_t>(from.step)].protocol;
      const bool has_ctf = protocol.outputs[static_cast<std::size_t>(from.port)].kind == CtfFit::kind;
      return (has_ctf ? 0 : 2) + (protocol.shape == flow::Shape::filter ? 0 : 1);
    };
    return rank(a) < rank(b);
  });
  std::vector<flow::KeptTable> tables;
  for (auto* table : {&kept, &others, &particles})
    if (!table->from.empty()) tables.push_back(std::move(*table));
  return tables;
}

std::unique_ptr<flow::TableFormat> star_format(const std::string& kind, const std::filesystem::path& project) {
  if (kind == "SetAside") return std::make_unique<AsideFormat>();
  std::unique_ptr<flow::TableFormat> format;
  visit_record(kind, [&](auto type) { format = format_of(type, project); });
  return format;
}

std::optional<std::string> set_star(const std::string& kind, const std::vector<Json>& records,
                                    const std::filesystem::path& project) {
  const auto format = star_format(kind, project);
  if (format == nullptr) return std::nullopt;
  return flow::whole_table(*format, records);
}

}  // namespace frazil::protocols
