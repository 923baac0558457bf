#include "frazil/exec/messages.hpp"

namespace frazil::exec {
namespace {

void append_ports(std::string& text, const RecordTexts& ports) {
  text += '[';
  for (std::size_t i = 0; i < ports.size(); ++i) {
    text += (i == 0 ? "[" : ",[") + Json(ports[i].first).dump() + ",[";
    for (std::size_t j = 0; j < ports[i].second.size(); ++j) text += (j == 0 ? "" : ",") + ports[i].second[j];
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

std::string text_of(const Task& task) {
  auto text = open_object<TaskHead>(task) + "\"params\":" + task.params + ",\"inputs\":";
  append_ports(text, task.inputs);
  if (task.has_previous) {
    text += ",\"previous\":";
    append_ports(text, task.previous);
  }
  return text + '}';
}

std::string text_of(const Result& result) {
  auto text = open_object<ResultHead>(result) + "\"outputs\":";
  append_ports(text, result.outputs);
  return text + '}';
}

template <class Entry>
std::string encode_list(std::string_view name, const std::vector<Entry>& list) {
  auto text = "{\"" + std::string(name) + "\":[";
  for (std::size_t i = 0; i < list.size(); ++i) text += (i == 0 ? "" : ",") + text_of(list[i]);
  return text + "]}";
}

flow::Records records_from(const Json& ports) {
  flow::Records records;
  for (const auto& port : ports)
    records.emplace_back(port.at(0).get<std::string>(), port.at(1).get<std::vector<Json>>());
  return records;
}

RecordTexts texts_from(const Json& ports) {
  RecordTexts texts;
  for (const auto& port : ports) {
    std::vector<std::string> records;
    for (const auto& record : port.at(1)) records.push_back(record.dump());
    texts.emplace_back(port.at(0).get<std::string>(), std::move(records));
  }
  return texts;
}

}  // namespace

std::string encode(const std::vector<Task>& tasks) { return encode_list("tasks", tasks); }
std::string encode(const std::vector<Result>& results) { return encode_list("results", results); }

Message::Message(std::string_view text) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.size() != 1) refuse("is no object with one member");
  kind_ = json.begin().key();
  body_ = json.begin().value();
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
  try {
    for (const auto& entry : list("tasks")) {
      ReceivedTask task{read<TaskHead>(entry), entry.at("params"), records_from(entry.at("inputs")), {}};
      if (entry.contains("previous")) task.previous = records_from(entry.at("previous"));
      tasks.push_back(std::move(task));
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  }
  return tasks;
}

std::vector<Result> Message::results() const {
  std::vector<Result> results;
  try {
    for (const auto& entry : list("results")) {
      Result result;
      static_cast<ResultHead&>(result) = read<ResultHead>(entry);
      if (!result.failed) result.outputs = texts_from(entry.at("outputs"));
      results.push_back(std::move(result));
    }
  } catch (const Json::exception& error) {
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
