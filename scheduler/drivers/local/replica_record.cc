#include "scheduler/drivers/local/replica_record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr const char* kNone = "-";  // an empty field would shift the others

std::string field(const std::string& text) { return text.empty() ? kNone : text; }
std::string plain(std::string text) { return text == kNone ? std::string() : text; }

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

/// `mark` keeps the drafts of two processes apart.
Status replace_file(const std::filesystem::path& path, const std::string& text, const std::string& mark = {}) {
  const std::filesystem::path draft = path.string() + mark + ".new";
  {
    std::ofstream out(draft, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot write '{}'", draft.string()));
  }
  std::error_code code;
  std::filesystem::rename(draft, path, code);
  if (code) return fail(Code::kInternal, "state_unwritable", fmt::format("cannot replace '{}': {}", path.string(), code.message()));
  return {};
}

std::optional<ReplicaRecord> parse_record(const std::filesystem::path& path) {
  std::istringstream line(read_all(path));
  ReplicaRecord record;
  record.replica = path.stem().string();
  if (!(line >> record.pid >> record.start_ticks >> record.term >> record.deployment >> record.model >> record.spec_digest >>
        record.admin_address)) {
    return std::nullopt;
  }
  line >> record.cgroup;  // not there in a record of an older scheduler
  record.cgroup = plain(record.cgroup);
  record.deployment = plain(record.deployment);
  record.spec_digest = plain(record.spec_digest);
  return record;
}

/// Its files are named by terms. A folder of its own: at most three names, which one read of it tells.
std::filesystem::path terms_folder(const std::filesystem::path& run_dir) { return run_dir / "terms"; }

Term number_of(const std::string& name) {
  Term term = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), term);
  return parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() ? term : 0;
}

Result<std::vector<Term>> marked_terms(const std::filesystem::path& run_dir) {
  std::vector<Term> terms;
  std::error_code code;
  std::filesystem::directory_iterator entry(terms_folder(run_dir), code);
  for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
    terms.push_back(number_of(entry->path().filename().string()));
  }
  if (!code || code == std::errc::no_such_file_or_directory) return terms;
  // Not known is not none: an older term must not pass for that.
  return fail(Code::kInternal, "state_unreadable",
              fmt::format("cannot read '{}': {}", terms_folder(run_dir).string(), code.message()));
}

Status mark_term(const std::filesystem::path& run_dir, Term term) {
  const std::filesystem::path folder = terms_folder(run_dir);
  std::error_code code;
  std::filesystem::create_directory(folder, code);
  if (code) {
    return fail(Code::kInternal, "state_unwritable", fmt::format("cannot make '{}': {}", folder.string(), code.message()));
  }
  const std::string path = (folder / std::to_string(term)).string();
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return fail(Code::kInternal, "state_unwritable", fmt::format("cannot make '{}': {}", path, std::strerror(errno)));
  }
  ::close(fd);
  return {};
}

/// What is on record, for people and for schedulers from before there were marks.
Term written_term(const std::filesystem::path& run_dir) {
  Term term = 0;
  std::istringstream(read_all(run_dir / "term")) >> term;
  return term;
}

Result<Term> newest_term(const std::filesystem::path& run_dir) {
  Term newest = written_term(run_dir);
  TG_ASSIGN(const std::vector<Term> marked, marked_terms(run_dir));
  for (const Term term : marked) newest = std::max(newest, term);
  return newest;
}

std::unexpected<Error> stale_term(Term newest, Term term) {
  return fail(Code::kFailedPrecondition, "stale_term", fmt::format("term {} has acted here; {} is older", newest, term));
}

}  // namespace

Status write_record(const std::filesystem::path& run_dir, const ReplicaRecord& record) {
  return replace_file(run_dir / (record.replica + ".pid"),
                      fmt::format("{} {} {} {} {} {} {} {}\n", record.pid, record.start_ticks, record.term, field(record.deployment),
                                  field(record.model), field(record.spec_digest), field(record.admin_address), field(record.cgroup)));
}

void remove_record(const std::filesystem::path& run_dir, const std::string& replica) {
  std::error_code ignored;  // gone already is what we want
  std::filesystem::remove(run_dir / (replica + ".pid"), ignored);
}

std::vector<ReplicaRecord> read_records(const std::filesystem::path& run_dir) {
  std::vector<ReplicaRecord> records;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, code)) {
    if (entry.path().extension() != ".pid") continue;
    if (auto record = parse_record(entry.path())) records.push_back(*std::move(record));
  }
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.replica < b.replica; });
  return records;
}

// No lock: a scheduler that stands still would hold it for as long. A mark is made in one step, and only those below the
// newest but one are taken away, so the greatest of them never falls: whoever was overtaken sees it after its own mark.
Status enter_term(const std::filesystem::path& run_dir, Term term) {
  TG_ASSIGN(const Term before, newest_term(run_dir));
  if (term < before) return stale_term(before, term);
  if (term == before && written_term(run_dir) == term) return {};
  TG_TRY(mark_term(run_dir, term));
  TG_ASSIGN(const std::vector<Term> marked, marked_terms(run_dir));
  for (const Term other : marked) {
    if (other > term) return stale_term(other, term);
  }
  TG_TRY(replace_file(run_dir / "term", fmt::format("{}\n", term), fmt::format(".{}", term)));
  for (const Term other : marked) {
    std::error_code ignored;  // another one took it away, or will
    if (other < before) std::filesystem::remove(terms_folder(run_dir) / std::to_string(other), ignored);
  }
  return {};
}

Status write_scrape_targets(const std::filesystem::path& run_dir, const std::vector<ReplicaRecord>& alive) {
  json::array list;
  for (const auto& record : alive) {
    json::object labels;
    labels["replica"] = record.replica;
    labels["deployment"] = record.deployment;
    json::object target;
    target["targets"] = json::array{json::value(record.admin_address)};
    target["labels"] = std::move(labels);
    list.push_back(std::move(target));
  }
  const std::string text = json::serialize(list) + "\n";
  const std::filesystem::path path = run_dir / "prometheus_sd.json";
  if (read_all(path) == text) return {};
  return replace_file(path, text);
}

}  // namespace tidegate::scheduler
