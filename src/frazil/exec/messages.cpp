#include "frazil/exec/messages.hpp"

#include <algorithm>
#include <stdexcept>

namespace frazil::exec {
namespace {

/// The ports with the lengths of their records, whose texts go to `records`.
void append_ports(std::string& text, const RecordTexts& ports, std::string& records) {
  text += '[';
  for (std::size_t i = 0; i < ports.size(); ++i) {
    text += (i == 0 ? "[" : ",[") + Json(ports[i].first).dump() + ",[";
    for (std::size_t j = 0; j < ports[i].second.size(); ++j) {
      const auto& record = ports[i].second[j];
      text += fmt::format("{}{}", j == 0 ? "" : ",", record.size());
      records += record;
    }
    text += "]]";
  }
  text += ']';
}

/// The object of a head, open for further members.
template <class Head>
std::string open_object(const Head& head) {
  auto text = record_to_json(head).dump(-1, ' ', false, Json::error_handler_t::replace);
  text.back() = ',';
  return text;
}

std::string text_of(const Task& task, std::string& records) {
  auto text = open_object<TaskHead>(task) + "\"params\":" + task.params + ",\"inputs\":";
  append_ports(text, task.inputs, records);
  if (task.has_previous) {
    text += ",\"previous\":";
    append_ports(text, task.previous, records);
  }
  return text + '}';
}

std::string text_of(const Result& result, std::string& records) {
  auto text = open_object<ResultHead>(result) + "\"outputs\":";
  append_ports(text, result.outputs, records);
  return text + '}';
}

template <class Entry>
std::string encode_list(std::string_view name, const std::vector<Entry>& list) {
  std::string text = "{\"" + std::string(name) + "\":[", records;
  for (std::size_t i = 0; i < list.size(); ++i) text += (i == 0 ? "" : ",") + text_of(list[i], records);
  return text + "]}\n" + records;
}

/// Takes the texts of records one after another.
class RecordReader {
 public:
  explicit RecordReader(std::string_view texts) : left_(texts) {}

  /// Ports with their lengths become ports with their records. @throws Json::exception, std::out_of_range
  template <class Ports, class Make>
  Ports take(const Json& ports, const Make& make) {
    Ports list;
    for (const auto& port : ports) {
      list.emplace_back();
      list.back().first = port.at(0).get<std::string>();
      for (const auto& length : port.at(1)) list.back().second.push_back(make(next(length.get<std::size_t>())));
    }
    return list;
  }

 private:
  std::string_view next(std::size_t length) {
    if (length > left_.size()) throw std::out_of_range("has shorter records than it says");
    const auto text = left_.substr(0, length);
    left_.remove_prefix(length);
    return text;
  }

  std::string_view left_;
};

Json parsed(std::string_view text) { return Json::parse(text); }

/// What goes into the store as it came has to be JSON.
std::string accepted(std::string_view text) {
  if (!Json::accept(text)) throw std::out_of_range("has a record that is no JSON");
  return std::string(text);
}

}  // namespace

std::string encode(const std::vector<Task>& tasks) { return encode_list("tasks", tasks); }
std::string encode(const std::vector<Result>& results) { return encode_list("results", results); }

Message::Message(std::string_view text) {
  const auto end = std::min(text.find('\n'), text.size());
  records_ = text.substr(std::min(end + 1, text.size()));
  auto json = Json::parse(text.substr(0, end), nullptr, false);
  if (!json.is_object() || json.size() != 1) refuse("is no object with one member");
  kind_ = json.begin().key();
  body_ = std::move(json.begin().value());
}

void Message::refuse(std::string_view problem) {
  throw Error(ErrorCode::corrupt, "a message between engine and worker {}", problem);
}

const Json& Message::list(std::string_view kind) const {
  if (kind_ != kind || !body_.is_array()) refuse(fmt::format("should hold a list of {}", kind));
  return body_;
}

std::vector<TaskHead> Message::task_heads() const {
  std::vector<TaskHead> heads;
  for (const auto& entry : list("tasks")) heads.push_back(read<TaskHead>(entry));
  return heads;
}

std::vector<ResultHead> Message::result_heads() const {
  std::vector<ResultHead> heads;
  for (const auto& entry : list("results")) heads.push_back(read<ResultHead>(entry));
  return heads;
}

std::vector<ReceivedTask> Message::tasks() const {
  std::vector<ReceivedTask> tasks;
  RecordReader records(records_);
  try {
    for (const auto& entry : list("tasks")) {
      ReceivedTask task{
          read<TaskHead>(entry), entry.at("params"), records.take<flow::Records>(entry.at("inputs"), parsed), {}};
      if (entry.contains("previous")) task.previous = records.take<flow::Records>(entry.at("previous"), parsed);
      tasks.push_back(std::move(task));
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  } catch (const std::out_of_range& error) {
    refuse(error.what());
  }
  return tasks;
}

std::vector<Result> Message::results() const {
  std::vector<Result> results;
  RecordReader records(records_);
  try {
    for (const auto& entry : list("results")) {
      Result result;
      static_cast<ResultHead&>(result) = read<ResultHead>(entry);
      result.outputs = records.take<RecordTexts>(entry.at("outputs"), accepted);
      if (result.failed) result.outputs.clear();
      results.push_back(std::move(result));
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  } catch (const std::out_of_range& error) {
    refuse(error.what());
  }
  return results;
}

std::string step_of(const TaskHead& task) {
  const auto begin = task.reference.find('/');
  if (begin == std::string::npos) return {};
  return task.reference.substr(begin + 1, task.reference.find('/', begin + 1) - begin - 1);
}

}  // namespace frazil::exec
