// Features of one clip by a model, in JavaScript: npm install onnxruntime-web
//   pcm3 export MODEL --out model.onnx --json > model.json
//   node onnx_node.js model.onnx model.json clip.json    a clip is [T][V][3]: metres, y up, every joint there
const { readFileSync } = require("fs");
const ort = require("onnxruntime-web");

// The body's centre to the origin; up (y) onto z, and from left to right in the first frame onto x.
function prepare(clip, { centre, across: [left, right] }) {
  let x = [0, 2].map((axis) => clip[0][right][axis] - clip[0][left][axis]);
  x = x.map((value) => value / Math.hypot(...x));
  return clip.map((pose) => pose.map((joint) => {
    const [a, b, c] = joint.map((value, axis) => value - pose[centre][axis]);
    return [a * x[0] + c * x[1], a * x[1] - c * x[0], b];
  }));
}

async function main([file, told, recording]) {
  const { layout, bodies } = JSON.parse(readFileSync(told, "utf8").trim().split("\n").pop());
  const clip = prepare(JSON.parse(readFileSync(recording)), layout);
  const size = clip[0].length * 3;
  const values = new Float32Array(clip.length * bodies * size); // absent bodies are zeros
  clip.forEach((pose, frame) => values.set(pose.flat(), frame * bodies * size));
  const clips = new ort.Tensor("float32", values, [1, clip.length, bodies, clip[0].length, 3]);
  const lengths = new ort.Tensor("int64", [BigInt(clip.length)], [1]);
  const session = await ort.InferenceSession.create(readFileSync(file));
  const results = await session.run({ clips, lengths });
  console.log(JSON.stringify(Array.from(Object.values(results)[0].data)));
}
main(process.argv.slice(2));
