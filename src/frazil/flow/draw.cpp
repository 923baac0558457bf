#include "frazil/flow/draw.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace frazil::flow {
namespace {

constexpr double box_height = 46, layer_gap = 58, gap = 26, margin = 24, bend_width = 8;

/// A step, or the place where a line that leaps over a layer passes it.
struct Node {
  int step = -1;  ///< −1: a passing line
  int layer = 0;
  double width = bend_width, x = 0;  ///< x of the centre
  std::vector<int> above, below;
};

struct Line {
  std::vector<int> nodes;  ///< from top to bottom
  std::string label;
  bool dashed = false;
  double start = 0, end = 0;  ///< where it leaves and enters its boxes
  int rank = 0;  ///< among the labelled lines into its box, from the left: their labels stand one above the other
};

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string describe_trigger(const Plan& plan, const PlannedStep& step) {
  const auto& trigger = step.trigger;
  std::string text;
  const auto what = trigger.of.empty()      ? std::string(" items")
                    : trigger.of == "count" ? " particles"
                                            : " " + trigger.of;
  const auto amount =
      trigger.count > 0 && std::isfinite(trigger.count) ? fmt::format("{:g}{}", trigger.count, what) : std::string();
  const auto time = trigger.every_s > 0 ? fmt::format("{:g} s", trigger.every_s) : std::string();
  const auto both = amount.empty() ? time : time.empty() ? amount : amount + " or " + time;
  if (trigger.mode == Trigger::Mode::first) text = "the first " + both;
  if (trigger.mode == Trigger::Mode::dynamic) text = "from " + both + " on";
  if (trigger.mode == Trigger::Mode::batches) text = "every " + both;
  if (trigger.mode == Trigger::Mode::closed) text = "at the end";
  if (trigger.approve) text += text.empty() ? "when approved" : ", when approved";
  for (const int stopped : trigger.stops) text += "; stops " + plan.steps[static_cast<std::size_t>(stopped)].name;
  return text;
}

class Drawing {
 public:
  explicit Drawing(const Plan& plan) : plan_(plan) {
    make_nodes();
    make_lines();
    for (int sweep = 0; sweep < 12; ++sweep) sort_layers(sweep % 2 == 0);
    place();
    spread_ends();
  }

  std::string svg() const {
    double width = 0;
    for (const auto& node : nodes_) width = std::max(width, node.x + node.width / 2 + margin);
    const double height = 2 * margin + static_cast<double>(layers_.size()) * (box_height + layer_gap) - layer_gap + 12;
    std::string text = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}")"
        R"( font-family="sans-serif" font-size="12">)"
        "\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        width, height);
    for (const auto& line : lines_) text += draw_line(line);
    for (const auto& node : nodes_)
      if (node.step >= 0) text += draw_box(node);
    return text + "</svg>\n";
  }

 private:
  double top(const Node& node) const { return margin + node.layer * (box_height + layer_gap); }

  void make_nodes() {
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const auto& step = plan_.steps[i];
      Node node;
      node.step = static_cast<int>(i);
      node.layer = step.depth;
      for (const auto& from : step.where)
        node.layer = std::max(node.layer, nodes_[static_cast<std::size_t>(from.step)].layer + 1);
      for (const auto& input : step.inputs)
        for (const auto& from : input.from)
          node.layer = std::max(node.layer, nodes_[static_cast<std::size_t>(from.step)].layer + 1);
      const auto longest =
          std::max({step.name.size() * 8, step.protocol->name.size() * 7, describe_trigger(plan_, step).size() * 6});
      node.width = std::max(110.0, static_cast<double>(longest) + 24);
      add(std::move(node));
    }
  }

  int add(Node node) {
    if (layers_.size() <= static_cast<std::size_t>(node.layer))
      layers_.resize(static_cast<std::size_t>(node.layer) + 1);
    layers_[static_cast<std::size_t>(node.layer)].push_back(static_cast<int>(nodes_.size()));
    nodes_.push_back(std::move(node));
    return static_cast<int>(nodes_.size()) - 1;
  }

  void connect(int from, int to, std::string label, bool dashed) {
    for (auto& line : lines_)
      if (line.nodes.front() == from && line.nodes.back() == to && line.dashed == dashed) {
        if (line.label != label) line.label += ", " + label;
        return;
      }
    Line line{{from}, std::move(label), dashed};
    for (int layer = nodes_[static_cast<std::size_t>(from)].layer + 1;
         layer < nodes_[static_cast<std::size_t>(to)].layer; ++layer) {
      Node bend;
      bend.layer = layer;
      line.nodes.push_back(add(std::move(bend)));
    }
    line.nodes.push_back(to);
    for (std::size_t i = 1; i < line.nodes.size(); ++i) {
      nodes_[static_cast<std::size_t>(line.nodes[i - 1])].below.push_back(line.nodes[i]);
      nodes_[static_cast<std::size_t>(line.nodes[i])].above.push_back(line.nodes[i - 1]);
    }
    lines_.push_back(std::move(line));
  }

  void make_lines() {
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const auto& step = plan_.steps[i];
      const auto add_from = [&](const Endpoint& from, bool dashed) {
        const auto& outputs = plan_.steps[static_cast<std::size_t>(from.step)].protocol->outputs;
        connect(from.step, static_cast<int>(i),
                outputs.size() > 1 ? outputs[static_cast<std::size_t>(from.port)].name : "", dashed);
      };
      for (const auto& input : step.inputs)
        for (const auto& from : input.from) add_from(from, input.broadcast);
      for (const auto& from : step.where) add_from(from, true);
    }
  }

  /// Orders each layer by the mean place of its neighbours in the layer before.
  void sort_layers(bool downwards) {
    std::vector<double> place(nodes_.size());
    for (const auto& layer : layers_)
      for (std::size_t i = 0; i < layer.size(); ++i)
        place[static_cast<std::size_t>(layer[i])] = (static_cast<double>(i) + 0.5) / static_cast<double>(layer.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      auto& layer = layers_[downwards ? l : layers_.size() - 1 - l];
      for (const int n : layer) {
        const auto& neighbours =
            downwards ? nodes_[static_cast<std::size_t>(n)].above : nodes_[static_cast<std::size_t>(n)].below;
        double sum = 0;
        for (const int other : neighbours) sum += place[static_cast<std::size_t>(other)];
        if (!neighbours.empty()) place[static_cast<std::size_t>(n)] = sum / static_cast<double>(neighbours.size());
      }
      std::stable_sort(layer.begin(), layer.end(), [&](int a, int b) {
        return place[static_cast<std::size_t>(a)] < place[static_cast<std::size_t>(b)];
      });
      for (std::size_t i = 0; i < layer.size(); ++i)
        place[static_cast<std::size_t>(layer[i])] = (static_cast<double>(i) + 0.5) / static_cast<double>(layer.size());
    }
  }

  double distance(int left, int right) const {
    return nodes_[static_cast<std::size_t>(left)].width / 2 + gap + nodes_[static_cast<std::size_t>(right)].width / 2;
  }

  /// Draws nodes towards the middle of their neighbours, keeping order and distance.
  void place() {
    for (const auto& layer : layers_)
      for (std::size_t i = 1; i < layer.size(); ++i)
        nodes_[static_cast<std::size_t>(layer[i])].x =
            nodes_[static_cast<std::size_t>(layer[i - 1])].x + distance(layer[i - 1], layer[i]);
    for (int sweep = 0; sweep < 40; ++sweep)
      for (const auto& layer : layers_) {
        std::vector<double> wanted;
        for (const int n : layer) {
          const auto& node = nodes_[static_cast<std::size_t>(n)];
          double sum = 0;
          for (const auto* list : {&node.above, &node.below})
            for (const int other : *list) sum += nodes_[static_cast<std::size_t>(other)].x;
          const auto count = node.above.size() + node.below.size();
          wanted.push_back(count > 0 ? sum / static_cast<double>(count) : node.x);
        }
        fit(layer, wanted);
      }
    double left = 1e9;
    for (const auto& node : nodes_) left = std::min(left, node.x - node.width / 2);
    for (auto& node : nodes_) node.x += margin - left;
  }

  /// Middle between pushing everything right and pushing everything left of where it wants to be.
  void fit(const std::vector<int>& layer, const std::vector<double>& wanted) {
    std::vector<double> right = wanted, left = wanted;
    for (std::size_t i = 1; i < layer.size(); ++i)
      right[i] = std::max(right[i], right[i - 1] + distance(layer[i - 1], layer[i]));
    for (std::size_t i = layer.size(); i-- > 1;)
      left[i - 1] = std::min(left[i - 1], left[i] - distance(layer[i - 1], layer[i]));
    for (std::size_t i = 0; i < layer.size(); ++i)
      nodes_[static_cast<std::size_t>(layer[i])].x = (left[i] + right[i]) / 2;
  }

  /// Gives the lines of a box places of their own along its edge, in the order of where they go.
  void spread_ends() {
    const auto x_of = [&](int node) { return nodes_[static_cast<std::size_t>(node)].x; };
    const auto spread = [&](std::size_t box, std::vector<Line*> lines, const std::function<int(const Line&)>& neighbour,
                            double Line::*end) {
      std::stable_sort(lines.begin(), lines.end(),
                       [&](const Line* a, const Line* b) { return x_of(neighbour(*a)) < x_of(neighbour(*b)); });
      const auto count = static_cast<double>(lines.size());
      const double step = count > 1 ? std::min(26.0, (nodes_[box].width - 24) / (count - 1)) : 0;
      int rank = 0;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        lines[i]->*end = nodes_[box].x + (static_cast<double>(i) - (count - 1) / 2) * step;
        if (end == &Line::end && !lines[i]->label.empty()) lines[i]->rank = rank++;
      }
    };
    for (std::size_t box = 0; box < nodes_.size(); ++box) {
      std::vector<Line*> in, out;
      for (auto& line : lines_) {
        if (line.nodes.back() == static_cast<int>(box)) in.push_back(&line);
        if (line.nodes.front() == static_cast<int>(box)) out.push_back(&line);
      }
      spread(
          box, std::move(in), [](const Line& line) { return line.nodes[line.nodes.size() - 2]; }, &Line::end);
      spread(
          box, std::move(out), [](const Line& line) { return line.nodes[1]; }, &Line::start);
    }
  }

  std::string draw_line(const Line& line) const {
    std::string path;
    double x = 0, y = 0;
    for (std::size_t i = 0; i < line.nodes.size(); ++i) {
      const auto& node = nodes_[static_cast<std::size_t>(line.nodes[i])];
      if (i == 0) {
        x = line.start, y = top(node) + box_height;
        path = fmt::format("M{:.1f} {:.1f}", x, y);
        continue;
      }
      const double to_x = i + 1 == line.nodes.size() ? line.end : node.x, to_y = top(node), middle = (y + to_y) / 2;
      path += fmt::format(" C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", x, middle, to_x, middle, to_x, to_y);
      if (node.step < 0) path += fmt::format(" L{:.1f} {:.1f}", to_x, to_y + box_height);
      x = to_x, y = to_y + box_height;
    }
    const auto& last = nodes_[static_cast<std::size_t>(line.nodes.back())];
    auto text = fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"#889\" stroke-width=\"1.3\"{}/>\n", path,
                            line.dashed ? " stroke-dasharray=\"5 4\"" : "");
    text += fmt::format("<path d=\"M{0:.1f} {1:.1f} l-4 -7 h8 z\" fill=\"#889\"/>\n", line.end, top(last));
    if (!line.label.empty())
      text += fmt::format(
          "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#556\" stroke=\"#fff\" "
          "stroke-width=\"3\" paint-order=\"stroke\">{}</text>\n",
          line.end, top(last) - 13 - 12 * (line.rank % 4), escape(line.label));
    return text;
  }

  std::string draw_box(const Node& node) const {
    const auto& step = plan_.steps[static_cast<std::size_t>(node.step)];
    constexpr std::string_view fills[] = {"#dcefe0", "#e3ecf8", "#fbeed5", "#ece2f5"};  // source, map, filter, fold
    const auto shape = static_cast<int>(step.protocol->shape);
    const double x = node.x - node.width / 2, y = top(node);
    auto text = fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\" rx=\"{}\" fill=\"{}\" "
        "stroke=\"#556\"{}/>\n",
        x, y, node.width, box_height, shape == 2 ? 16 : 5, fills[shape],
        step.optional ? " stroke-dasharray=\"4 3\"" : "");
    const auto trigger = describe_trigger(plan_, step);
    text += fmt::format(
        "<text x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"middle\" font-weight=\"bold\" fill=\"#223\">{2}</text>\n"
        "<text x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#445\">{4}</text>\n",
        node.x, y + 19, escape(step.name), y + 35, escape(step.protocol->name));
    if (!trigger.empty())
      text += fmt::format(
          "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#735\" stroke=\"#fff\" "
          "stroke-width=\"3\" paint-order=\"stroke\">{}</text>\n",
          node.x, y + box_height + 11, escape(trigger));
    return text;
  }

  const Plan& plan_;
  std::vector<Node> nodes_;
  std::vector<Line> lines_;
  std::vector<std::vector<int>> layers_;
};

}  // namespace

std::string draw(const Plan& plan) { return Drawing(plan).svg(); }

}  // namespace frazil::flow
