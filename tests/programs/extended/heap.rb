# Strings, hashes, arrays, big numbers and symbols under a compacting collector, in threads, ractors'
# predecessors (processes) and fibers; prints digests.
require 'digest'
require 'json'
require 'set'
require 'stringio'
require 'zlib'

def sha(text) = Digest::SHA256.hexdigest(text)

table = {}
100_000.times { |i| table["key#{i}"] = 'v' * (i % 300) }
table.delete_if { |key, _| key.end_with?('3', '7') }
puts "hash #{table.size} #{sha(table.sort.flatten.join)}"

GC.compact if GC.respond_to?(:compact)
puts "json #{sha(JSON.generate(JSON.parse(JSON.generate(table))))}"
puts "marshal #{sha(Marshal.dump(Marshal.load(Marshal.dump(table))))}"
puts "bignum #{sha((1..2000).inject(:*).to_s)}"

text = (0...60_000).map { |i| "word#{i * 7919 % 60_013}" }.join(' ')
puts "regex #{sha(text.gsub(/(\d)(\d+)/) { "#{$2}#{$1}" })} #{text.scan(/\b\w+9\b/).size}"
puts "zlib #{sha(Zlib::Inflate.inflate(Zlib::Deflate.deflate(text, 9)))}"

threads = 8.times.map do |t|
  Thread.new do
    kept = []
    20_000.times { |i| kept << "#{t}-#{i}" * (i % 7 + 1); kept.shift if i.odd? }
    sha(kept.join)
  end
end
puts threads.map(&:value)

results = 6.times.map do |n|
  reader, writer = IO.pipe
  fork do
    reader.close
    writer.write(sha((0...20_000).map { |i| "#{n}#{i}" }.to_set.to_a.join))
    writer.close
    exit!(0)
  end
  writer.close
  reader
end
puts results.map(&:read)
puts "children #{Process.waitall.count { |_, status| status.success? }}"

fibers = 2000.times.map { |i| Fiber.new { Fiber.yield('f' * i); i } }
puts "fibers #{fibers.sum { |f| f.resume.size } + fibers.sum(&:resume)}"

GC.stress = true
puts "stress #{(0...60).map { |i| [i.to_s * 10, { i => [i] }] }.to_h.to_s.size}"
GC.stress = false
GC.start
