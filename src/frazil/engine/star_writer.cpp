#include "frazil/engine/star_writer.hpp"

#include "frazil/base/files.hpp"

namespace frazil::engine {

void StarWriter::write(const State& state) {
  if (head_ != state.head) {
    head_ = state.head;
    written_.assign(state.steps.size(), -1);
  }
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    if (written_[i] == state.steps[i]->sets_changed) continue;
    write_step(state, static_cast<int>(i));
    written_[i] = state.steps[i]->sets_changed;
  }
}

void StarWriter::write_step(const State& state, int index) {
  const auto& planned = state.planned(index);
  const auto& outputs = planned.protocol->outputs;
  for (std::size_t port = 0; port < outputs.size(); ++port) {
    SetView view{planned.name, planned.protocol->name, outputs[port].name, outputs[port].kind, state.head->folder, {}};
    auto members = state.members(index, static_cast<int>(port));
    if (flow::gives_versions(planned) && members.size() > 1) members.erase(members.begin(), members.end() - 1);
    for (const int subject : members)
      view.records.push_back(Json::parse(reader_->record(state.step(index).ports[port].items[subject])));
    const auto text = format_(view);
    if (!text) continue;
    const auto file = state.head->folder / "star" /
                      (port == 0 ? planned.name + ".star" : planned.name + "." + outputs[port].name + ".star");
    if (!std::filesystem::exists(file) || read_text(file) != *text) write_text(file, *text);
  }
}

}  // namespace frazil::engine
