// Print the labels of a recording: predict model.onnx recording.csv [how many labels, 5 if not given]
//
// The model is a file that `python -m last export --out model.onnx` wrote; its names are in its metadata. The recording
// has a row for each frame of a body: the columns `frame`, `body` (not needed for one body), and `JOINT_x`, `JOINT_y`,
// `JOINT_z` for every joint of the model's layout, in any order, among others. An empty field or `nan` is missing.
//
// Legend: M bodies, F frames, V joints, C coordinates.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr double kFarthest = 1e6;
constexpr int64_t kMostFrames = 1'000'000;
const char* const kNobody = "no body is present in any frame of the recording: there is nothing to recognise";

using Row = std::vector<float>;       // (V*C)
using Body = std::map<int64_t, Row>;  // by frame
using Recording = std::vector<std::pair<std::string, Body>>;  // by name, in the order in which bodies appear

struct Model {
  Ort::Session session;
  std::vector<std::string> classes, columns;  // columns: of the coordinates, `JOINT_x`, in the order of the input
  std::string layout;
  int64_t bodies, joints, coordinates;
};

std::string fact(const Ort::Session& session, const char* name) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto value = session.GetModelMetadata().LookupCustomMetadataMapAllocated(name, allocator);
  if (!value) throw std::runtime_error(std::string("the model has no metadata `") + name + "`: LAST did not write it");
  return value.get();
}

// Return the text of the JSON string whose opening quote is at `at`, and move `at` behind its closing quote.
std::string json_text(const std::string& json, size_t& at) {
  std::string text;
  while (json.at(++at) != '"') {
    if (json[at] != '\\') {
      text += json[at];
      continue;
    }
    const char escaped = json.at(++at);
    const auto known = std::string("nrtbf").find(escaped);
    if (escaped == 'u') {  // LAST writes control characters alone so; all others are UTF-8
      text += static_cast<char>(std::stoi(json.substr(at + 1, 4), nullptr, 16));
      at += 4;
    } else {
      text += known == std::string::npos ? escaped : "\n\r\t\b\f"[known];
    }
  }
  ++at;
  return text;
}

// Return the texts of the JSON list of strings that follows `key`; the whole of `json` is the list if `key` is empty.
std::vector<std::string> json_texts(const std::string& json, const std::string& key) {
  std::vector<std::string> texts;
  size_t at = json.find(key);
  if (at == std::string::npos) throw std::runtime_error("the metadata of the model lacks " + key);
  for (at = json.find('[', at + key.size()) + 1; json.at(at) != ']';) {
    if (json[at] == '"') {
      texts.push_back(json_text(json, at));
    } else {
      ++at;
    }
  }
  return texts;
}

Model open_model(Ort::Env& env, const std::filesystem::path& path) {
  Model model{Ort::Session(env, path.c_str(), Ort::SessionOptions()), {}, {}, "", 0, 0, 0};
  if (fact(model.session, "format") != "last-recognizer" || fact(model.session, "format_version") != "2") {
    throw std::runtime_error("the model has another version of the format: export it again");
  }
  const auto shape = model.session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();  // (N, M, F, V, C)
  model.bodies = shape.at(1), model.joints = shape.at(3), model.coordinates = shape.at(4);
  model.classes = json_texts(fact(model.session, "classes"), "");
  const std::string layout = fact(model.session, "layout"), key = "\"name\": ";
  size_t at = layout.find(key) + key.size();
  model.layout = json_text(layout, at);
  for (const auto& joint : json_texts(layout, "\"joints\": ")) {
    for (int64_t axis = 0; axis < model.coordinates; ++axis) model.columns.push_back(joint + "_" + "xyz"[axis]);
  }
  return model;
}

std::vector<std::string> fields_of(std::string line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  std::vector<std::string> fields;
  std::stringstream rest(line + ",");
  for (std::string field; std::getline(rest, field, ',');) fields.push_back(field);
  return fields;
}

float number(const std::string& field, const std::string& where) {
  if (field.empty()) return kMissing;
  char* end = nullptr;
  const double value = std::strtod(field.c_str(), &end);
  if (end != field.c_str() + field.size()) throw std::runtime_error(where + ": `" + field + "` is not a number");
  if (std::abs(value) > kFarthest) throw std::runtime_error(where + ": numbers should be up to 1000000");
  return static_cast<float>(value);
}

// Return where the columns are in a header, that of `frame` first and that of `body` second (-1 without it).
std::vector<std::ptrdiff_t> places_of(const std::vector<std::string>& header, const Model& model) {
  std::vector<std::string> wanted{"frame", "body"};
  wanted.insert(wanted.end(), model.columns.begin(), model.columns.end());
  std::vector<std::ptrdiff_t> places;
  for (const auto& name : wanted) {
    const auto found = std::find(header.begin(), header.end(), name);
    if (found == header.end() && name != "body") {
      throw std::runtime_error("the recording has no column `" + name + "`; the model takes the layout " +
                               model.layout + " with " + std::to_string(model.joints) + " joints and " +
                               std::to_string(model.coordinates) + " coordinates");
    }
    places.push_back(found == header.end() ? -1 : found - header.begin());
  }
  return places;
}

Recording read_recording(const std::filesystem::path& path, const Model& model) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error("cannot read " + path.string());
  if (line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);  // a byte order mark
  const auto header = fields_of(line);
  const auto places = places_of(header, model);
  Recording recording;
  for (int64_t count = 2; std::getline(file, line); ++count) {
    const std::string where = path.string() + ", line " + std::to_string(count);
    const auto fields = fields_of(line);
    if (fields.size() != header.size()) throw std::runtime_error(where + ": other fields than in the header");
    const double frame = number(fields[places[0]], where);
    if (std::floor(frame) != frame) throw std::runtime_error(where + ": a frame needs a whole number");
    const std::string name = places[1] < 0 ? "" : fields[places[1]];
    auto body = std::find_if(recording.begin(), recording.end(), [&](const auto& each) { return each.first == name; });
    if (body == recording.end()) body = recording.insert(body, {name, {}});
    Row& row = body->second[static_cast<int64_t>(frame)];
    if (!row.empty()) throw std::runtime_error(where + ": a second row of this frame and body");
    for (size_t each = 2; each < places.size(); ++each) row.push_back(number(fields[places[each]], where));
  }
  return recording;
}

bool is_absent(const std::pair<std::string, Body>& named) {
  const auto is_nothing = [](float each) { return each == 0 || std::isnan(each); };
  return std::all_of(named.second.begin(), named.second.end(), [&](const auto& frame) {
    return std::all_of(frame.second.begin(), frame.second.end(), is_nothing);
  });
}

// Return the most probable class first, as pairs of a probability and the number of the class.
std::vector<std::pair<float, size_t>> predict(Model& model, Recording recording) {
  recording.erase(std::remove_if(recording.begin(), recording.end(), is_absent), recording.end());
  if (recording.empty()) throw std::runtime_error(kNobody);
  int64_t first = std::numeric_limits<int64_t>::max(), last = std::numeric_limits<int64_t>::min();
  for (const auto& [name, body] : recording) {
    first = std::min(first, body.begin()->first), last = std::max(last, body.rbegin()->first);
  }
  const int64_t frames = last - first + 1, size = model.joints * model.coordinates;
  if (frames > kMostFrames) throw std::runtime_error("the frames of the recording span more than 1000000");
  std::vector<float> input(model.bodies * frames * size, kMissing);  // (1, M, F, V, C)
  for (int64_t body = 0; body < std::min<int64_t>(model.bodies, recording.size()); ++body) {
    for (const auto& [frame, row] : recording[body].second) {
      std::copy(row.begin(), row.end(), input.begin() + (body * frames + frame - first) * size);
    }
  }
  const std::array<int64_t, 5> shape{1, model.bodies, frames, model.joints, model.coordinates};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto tensor = Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
  const char* const inputs[] = {"joints"};
  const char* const outputs[] = {"probabilities"};
  const auto found = model.session.Run(Ort::RunOptions(), inputs, &tensor, 1, outputs, 1);
  const float* probabilities = found[0].GetTensorData<float>();
  if (std::isnan(probabilities[0])) throw std::runtime_error(kNobody);
  std::vector<std::pair<float, size_t>> ranked;
  for (size_t each = 0; each < model.classes.size(); ++each) ranked.emplace_back(probabilities[each], each);
  std::stable_sort(ranked.begin(), ranked.end(), [](auto& one, auto& other) { return one.first > other.first; });
  return ranked;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 3) throw std::runtime_error("give a model and a recording: predict model.onnx recording.csv");
    Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "predict");
    Model model = open_model(env, arguments[1]);
    const auto ranked = predict(model, read_recording(arguments[2], model));
    const size_t shown = std::min<size_t>(count > 3 ? std::stoul(arguments[3]) : 5, ranked.size());
    std::cout.setf(std::ios::fixed);
    for (size_t each = 0; each < shown; ++each) {
      std::cout << ranked[each].first << ' ' << model.classes[ranked[each].second] << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
