// One task of a plugin: inputs staged, program run, results checked and taken over.
#include <algorithm>
#include <cmath>

#include "frazil/base/braces.hpp"
#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/process.hpp"
#include "frazil/model/kinds.hpp"
#include "frazil/params/values.hpp"
#include "frazil/plugin/check.hpp"
#include "frazil/plugin/manifest.hpp"
#include "frazil/plugin/stage.hpp"
#include "frazil/protocols/from_file.hpp"

namespace frazil::plugin {
namespace {

namespace fs = std::filesystem;

/// Everything that a name in braces may stand for: {inputs.PORT.FIELD}, {params.NAME}, {programs.NAME}, {plugin},
/// {work}, {threads}, {seed}, {name}.
Json vocabulary(const Json& task) {
  Json words = task;
  Json inputs = Json::object();
  for (const auto& [port, list] : task.at("inputs").items())
    if (!list.empty()) inputs[port] = list.front();
  words["inputs"] = std::move(inputs);
  return words;
}

Json look_up(const Json& words, std::string_view name, const std::string& place) {
  const Json* at = &words;
  std::string_view rest = name;
  while (!rest.empty()) {
    const auto dot = rest.find('.');
    const std::string key(rest.substr(0, dot));
    const auto found = at->is_object() ? at->find(key) : at->end();
    if (!at->is_object() || found == at->end()) {
      if (name.starts_with("inputs.")) return nullptr;  // an optional port or a field that is not set
      throw Error(ErrorCode::bad_input, "{}: {{{}}} is not known here", place, name);
    }
    at = &*found;
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  }
  return *at;
}

std::string plain(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) &&
      std::abs(value.get<double>()) < 1e15)
    return fmt::format("{:.0f}", value.get<double>());
  return value.dump();
}

/// A text with names in braces replaced; one that is nothing but such a name becomes its value with its type.
Json fill(const std::string& text, const Json& words, const std::string& place) {
  if (text.starts_with('{') && text.find('}') == text.size() - 1)
    return look_up(words, text.substr(1, text.size() - 2), place);
  return fill_braces(text, [&](std::string_view name) { return plain(look_up(words, name, place)); });
}

bool is_set(const Json& value) { return !(value.is_null() || value == false || value == "" || value == 0); }

void add_arguments(const Json& list, const Json& words, const std::string& place, std::vector<std::string>& arguments) {
  for (const auto& entry : list) {
    if (entry.is_string()) {
      arguments.push_back(plain(fill(entry.get<std::string>(), words, place)));
    } else if (entry.is_object() && entry.contains("if") && entry.contains("arguments")) {
      if (is_set(look_up(words, entry["if"].get<std::string>(), place)))
        add_arguments(entry["arguments"], words, place, arguments);
    } else {
      throw Error(ErrorCode::bad_input, "{}: an argument is a text or {{\"if\": …, \"arguments\": […]}}, not {}", place,
                  entry.dump());
    }
  }
}

/// A plugin and the task at hand.
class Job {
 public:
  Job(const Manifest& manifest, const PluginProtocol& protocol, const Json& params, flow::Context& context)
      : manifest_(manifest),
        protocol_(protocol),
        context_(context),
        work_(fs::absolute(context.scratch()).lexically_normal() / "work"),
        stage_(make_work(), context) {
    task_ = {{"contract", contract},
             {"protocol", protocol.name},
             {"params", with_defaults(protocol.params, params)},
             {"threads", context.threads()},
             {"seed", static_cast<std::int64_t>(context.rng()() >> 33)},
             {"plugin", manifest.folder.string()},
             {"work", work_.string()},
             {"programs", programs()}};
  }

  flow::Records run(const flow::Records& inputs, const flow::Records* previous) {
    task_["inputs"] = stage_.records(protocol_.inputs, inputs);
    if (previous != nullptr) task_["previous"] = stage_.records(protocol_.outputs, *previous);
    task_["name"] = name_of(inputs);
    const auto results = protocol_.command.is_null() ? run_adapter() : run_commands();
    return take(results, inputs);
  }

 private:
  fs::path make_work() const {
    make_folders(work_);
    return work_;
  }

  Json programs() const {
    Json paths = Json::object();
    for (const auto& program : manifest_.programs) {
      const auto& needed = protocol_.programs;
      if (!needed.empty() && std::find(needed.begin(), needed.end(), program.name) == needed.end()) continue;
      const auto found = find(program, false);
      if (found.path.empty())
        throw Error(ErrorCode::not_found, "plugin {}: the program {} is not on this machine", manifest_.id,
                    program.name);
      paths[program.name] = found.path.string();
    }
    return paths;
  }

  std::string name_of(const flow::Records& inputs) const {
    for (const auto& [port, list] : inputs) {
      const auto info = std::find_if(protocol_.inputs.begin(), protocol_.inputs.end(),
                                     [&, name = port](const flow::PortInfo& p) { return p.name == name; });
      for (const auto& record : list)
        if (const auto name = item_name(info == protocol_.inputs.end() ? "" : info->kind, record); !name.empty())
          return protocols::area_name(name);
    }
    return "task";
  }

  void execute(std::vector<std::string> arguments, const std::string& what) {
    Command command;
    command.arguments = std::move(arguments);
    command.folder = work_;
    command.environment = {{"OMP_NUM_THREADS", std::to_string(context_.threads())},
                           {"FRAZIL_THREADS", std::to_string(context_.threads())}};
    if (!context_.gpus().empty()) command.environment.emplace_back("CUDA_VISIBLE_DEVICES", context_.gpus());
    command.time_limit_s = protocol_.resources.time_limit_s;
    command.poll = [this] { context_.check_cancelled(); };
    const auto done = run_program(command);
    if (done.ok()) return;
    Json told = Json::object();
    try {
      told = read_result();
    } catch (const Error&) {  // how it ended says more
    }
    if (told.contains("error")) {
      const auto& error = told["error"];
      const auto code = error_code_from(error.value("code", std::string("external")));
      throw Error(code == ErrorCode::bug ? ErrorCode::external : code, "{}: {}", what,
                  error.value("message", done.last_lines()));
    }
    throw Error(ErrorCode::external, "{}: {}: {}", what, done.how(), done.last_lines());
  }

  [[nodiscard]] Json read_result() const {
    const auto file = work_ / "result.json";
    if (!fs::exists(file)) return Json::object();
    constexpr std::uintmax_t most_bytes = 256U << 20;  // of one answer; images and tables are files of their own
    if (!fs::is_regular_file(file))
      throw Error(ErrorCode::external, "{}: its result.json is no regular file", protocol_.name);
    if (fs::file_size(file) > most_bytes)
      throw Error(ErrorCode::external, "{}: its result.json has {} bytes, at most {} are read", protocol_.name,
                  fs::file_size(file), most_bytes);
    auto json = Json::parse(read_text(file), nullptr, false);
    if (json.is_discarded())
      throw Error(ErrorCode::external, "{}: its result.json is no JSON (NaN is none, nor is text that is not UTF-8)",
                  protocol_.name);
    return json.is_object() ? json : Json::object();
  }

  Json run_adapter() {
    write_text(work_ / "task.json", task_.dump(1));
    std::vector<std::string> arguments;
    for (const auto& argument : manifest_.adapter)
      arguments.push_back(plain(fill(argument, {{"plugin", manifest_.folder.string()}}, manifest_.id)));
    arguments.emplace_back("run");
    arguments.push_back((work_ / "task.json").string());
    execute(std::move(arguments), protocol_.name);
    const auto result = read_result();
    if (!result.contains("outputs") || !result["outputs"].is_object())
      throw Error(ErrorCode::external, "{}: the adapter ended well but wrote no result.json with \"outputs\"",
                  protocol_.name);
    return result["outputs"];
  }

  Json run_commands() {
    const auto words = vocabulary(task_);
    const bool several = !protocol_.command.empty() && protocol_.command.front().is_array();
    for (const auto& list : several ? protocol_.command : Json::array({protocol_.command})) {
      std::vector<std::string> arguments;
      add_arguments(list, words, protocol_.name, arguments);
      execute(std::move(arguments), protocol_.name);
    }
    if (protocol_.results.empty()) {
      const auto result = read_result();
      if (!result.contains("outputs"))
        throw Error(ErrorCode::external,
                    "{}: plugin.json has no \"results\" for its command, and the command wrote no result.json",
                    protocol_.name);
      return result["outputs"];
    }
    Json outputs = Json::object();
    for (const auto& [port, pattern] : protocol_.results.items()) {
      Json record = Json::object();
      if (const auto from = pattern.value("from", std::string()); !from.empty())
        record = look_up(words, "inputs." + from, protocol_.name);
      for (const auto* measured : {"nx", "ny", "box", "count", "thumbnail"})
        record.erase(measured);  // of the input: the output's file tells its own
      for (const auto& [key, value] : pattern.items())
        if (key != "from")
          record[key] = value.is_string() ? fill(value.get<std::string>(), words, protocol_.name) : value;
      outputs[port] = Json::array({std::move(record)});
    }
    return outputs;
  }

  /// Checks and takes over all results.
  flow::Records take(const Json& results, const flow::Records& inputs) {
    if (protocol_.shape == flow::Shape::filter) {
      const auto list = results.value("decision", Json());
      const auto decision = list.is_array() && list.size() == 1 ? list[0] : list;
      try {
        return {{"decision", {flow::decision_to_json(flow::decision_from_json(decision))}}};
      } catch (const Error& e) {
        throw Error(ErrorCode::external, "{}: a filter must give one \"decision\": {}", protocol_.name, e.what());
      }
    }
    for (const auto& [port, list] : results.items())
      if (std::none_of(protocol_.outputs.begin(), protocol_.outputs.end(),
                       [&, name = port](const flow::PortInfo& p) { return p.name == name; }))
        throw Error(ErrorCode::external, "{}: gave an output {} that it does not declare", protocol_.name, port);
    flow::Records records;
    for (const auto& port : protocol_.outputs) {
      const auto given = results.value(port.name, Json::array());
      const auto list = given.is_array() ? given : Json::array({given});
      if (list.size() > 1 && !port.many)
        throw Error(ErrorCode::external, "{}: gave {} results on {}, expected one", protocol_.name, list.size(),
                    port.name);
      if (list.empty() && !port.optional && !port.many)
        throw Error(ErrorCode::external, "{}: gave nothing on {}", protocol_.name, port.name);
      std::vector<Json> checked;
      for (const auto& record : list) {
        checked.push_back(complete(port.kind, record, work_));
        check_against_inputs(port, checked.back(), inputs);
      }
      records.emplace_back(port.name, std::move(checked));
    }
    // Files move only now: records of two ports may name the same one.
    Collector collector(stage_, context_);
    for (std::size_t i = 0; i < records.size(); ++i)
      for (auto& record : records[i].second) record = collector.collect(protocol_.outputs[i].kind, std::move(record));
    return records;
  }

  void check_against_inputs(const flow::PortInfo& port, const Json& record, const flow::Records& inputs) const {
    if (port.kind == Coordinates::kind)
      for (const auto& [name, list] : inputs)
        for (const auto& input : list)
          if (input.contains("path") && input.contains("nx") && list.size() == 1)
            check_inside(work_ / record.value("coordinates", ""), input.value("nx", 0), input.value("ny", 0));
    const auto same = protocol_.same_count.value(port.name, std::string());
    if (same.empty()) return;
    std::int64_t expected = 0;
    for (const auto& [name, list] : inputs)
      if (name == same)
        for (const auto& input : list) expected += input.value("count", 0);
    const auto key = record.contains("count") ? "count" : "particle_count";
    if (record.value(key, std::int64_t{0}) != expected)
      throw Error(ErrorCode::external, "{}: {} particles went in, {} came out on {}", protocol_.name, expected,
                  record.value(key, std::int64_t{0}), port.name);
  }

  const Manifest& manifest_;
  const PluginProtocol& protocol_;
  flow::Context& context_;
  fs::path work_;
  Stage stage_;
  Json task_;
};

std::vector<std::string> missing_programs(const Manifest& manifest, const PluginProtocol& protocol) {
  std::vector<std::string> missing;
  for (const auto& program : manifest.programs) {
    const auto& needed = protocol.programs;
    if (!needed.empty() && std::find(needed.begin(), needed.end(), program.name) == needed.end()) continue;
    if (!find(program, false).path.empty()) continue;
    missing.push_back(
        fmt::format("plugin {}: the program {} is not on this machine{}", manifest.id, program.name,
                    program.variable.empty() ? "" : "; install it or set " + program.variable + " to its folder"));
  }
  return missing;
}

}  // namespace

flow::Protocol make_protocol(const Manifest& manifest, const PluginProtocol& from, const std::string& plugin_checksum) {
  const auto plugin = std::make_shared<const Manifest>(manifest);
  const auto shared = std::make_shared<const PluginProtocol>(from);
  flow::Protocol protocol;
  protocol.name = from.name;
  protocol.title = from.title.empty() ? from.name : from.title;
  protocol.cites = from.cites;
  protocol.help = from.help;
  protocol.thin = fmt::format("of plugin {} {}", manifest.id, manifest.version);
  protocol.version = from.version;
  protocol.shape = from.shape;
  protocol.inputs = from.inputs;
  protocol.outputs = from.outputs;
  protocol.json_port = from.json_port;
  protocol.params = from.params;
  protocol.check = [plugin, shared](const Json& json) {
    auto problems = check_values(shared->params, json);
    for (auto& problem : missing_programs(*plugin, *shared)) problems.push_back(std::move(problem));
    return problems;
  };
  protocol.programs = [plugin, shared] {
    std::vector<std::string> list;
    const auto& needed = shared->programs;
    for (const auto& program : plugin->programs)
      if (needed.empty() || std::find(needed.begin(), needed.end(), program.name) != needed.end())
        list.push_back(program.name + " " + find(program, true).version);
    return list;
  };
  protocol.key = [shared, plugin_checksum, programs = protocol.programs](const Json& json) {
    auto text = result_key(shared->params, json) + "\n" + plugin_checksum;
    for (const auto& program : programs()) text += "\n" + program;
    return text;
  };
  protocol.run = [plugin, shared](const Json& json, const flow::Records& inputs, const flow::Records* previous,
                                  flow::Context& context) {
    return Job(*plugin, *shared, json, context).run(inputs, previous);
  };
  protocol.gpus = from.resources.gpus;
  if (!from.needs.empty()) protocol.needs = [needs = from.needs](const Json&) { return needs; };
  protocol.memory_mib = [memory = from.resources.memory_mib](const Json&, const flow::Records&) { return memory; };
  return protocol;
}

}  // namespace frazil::plugin
