// Draws the shapes of a page into its canvases, when they come into view; dragging or the arrow keys turn a shape.
// One WebGL renderer draws all of them, since a browser allows a page only a few; each canvas keeps a copy of its picture.
// Shapes that share a [data-together] element turn together, unless its checkbox is off.
"use strict";
(() => {
  const NORTH = Math.cos(Math.PI / 2 - (25 * Math.PI) / 180); // of the camera 25 degrees above the horizon
  const DISTANCE = 4.15; // from which the unit sphere just fits
  const CREASE = (40 * Math.PI) / 180; // a sharper edge is not smoothed
  const FRAME_MS = 25; // time to draw before the browser may answer to the user
  const COLOURS = { input: 0xb3aa9c, result: 0x8fa9cf };
  const packed = JSON.parse(document.getElementById("shapes").textContent);
  const root = document.documentElement;

  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ alpha: true, antialias: true });
  } catch {
    document.body.classList.add("without-webgl");
    return;
  }
  const scene = new THREE.Scene();
  const light = new THREE.DirectionalLight(0xfff8ec, 2.1);
  const materials = Object.fromEntries(
    Object.entries(COLOURS).map(([kind, color]) => [kind, new THREE.MeshLambertMaterial({ color, side: THREE.DoubleSide })]),
  );
  const subject = new THREE.Mesh(new THREE.BufferGeometry(), materials.result);
  scene.add(new THREE.HemisphereLight(0xdfe6f2, 0x8d8478, 1.5), light, subject);

  function unpacked(text, type) {
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
    return new type(bytes.buffer);
  }

  function geometryOf(shape) {
    const points = Float32Array.from(unpacked(shape.points, Uint16Array), (steps) => steps * shape.step - shape.reach);
    const geometry = new THREE.BufferGeometry();
    if (shape.normals) {
      const [positions, normals] = discs(points, unpacked(shape.normals, Int8Array), shape.radius);
      geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
      geometry.setAttribute("normal", new THREE.BufferAttribute(normals, 3));
      return geometry;
    }
    geometry.setAttribute("position", new THREE.BufferAttribute(points, 3));
    geometry.setIndex(new THREE.BufferAttribute(unpacked(shape.faces, shape.wide ? Uint32Array : Uint16Array), 1));
    return THREE.toCreasedNormals(geometry, CREASE);
  }

  // A small square for each point of a cloud, as two triangles.
  function discs(points, codes, radius) {
    const positions = new Float32Array(points.length * 6);
    const normals = new Float32Array(points.length * 6);
    const normal = new THREE.Vector3(), u = new THREE.Vector3(), v = new THREE.Vector3();
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]];
    for (let i = 0, at = 0; i < points.length; i += 3) {
      normal.fromArray(codes, i).normalize();
      u.set(1, 0, 0);
      if (Math.abs(normal.x) > 0.8) u.set(0, 1, 0);
      u.cross(normal).setLength(radius);
      v.crossVectors(normal, u);
      for (const [a, b] of corners) {
        for (let axis = 0; axis < 3; axis++, at++) {
          positions[at] = points[i + axis] + a * u.getComponent(axis) + b * v.getComponent(axis);
          normals[at] = normal.getComponent(axis);
        }
      }
    }
    return [positions, normals];
  }

  class View {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
      this.visible = false;
      this.stale = true;
      this.geometry = null;
      this.camera = new THREE.PerspectiveCamera(30, 1, 0.1, 20);
      const azimuth = (35 * Math.PI) / 180;
      const level = Math.sqrt(1 - NORTH * NORTH);
      this.camera.position.set(Math.sin(azimuth) * level, NORTH, Math.cos(azimuth) * level).multiplyScalar(DISTANCE);
      this.controls = new THREE.OrbitControls(this.camera, canvas);
      this.controls.enablePan = false;
      this.controls.minDistance = 1.2;
      this.controls.maxDistance = 12;
      canvas.style.touchAction = "pan-y"; // a finger that moves up or down scrolls the page
      this.controls.addEventListener("change", () => this.turned());
      // The wheel scrolls the page, and zooms only the shape that was clicked.
      const before = { capture: true, passive: true };
      canvas.addEventListener("wheel", () => (this.controls.enableZoom = document.activeElement === canvas), before);
      canvas.addEventListener("dblclick", () => this.controls.reset());
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    turned() {
      for (const view of companions(this)) {
        if (view !== this) {
          view.camera.position.copy(this.camera.position);
          view.camera.lookAt(0, 0, 0);
        }
        view.stale = true;
      }
      drawSoon();
    }

    key(event) {
      const [turn, tilt, zoom] = {
        ArrowLeft: [-1, 0, 1], ArrowRight: [1, 0, 1], ArrowUp: [0, -1, 1], ArrowDown: [0, 1, 1],
        "+": [0, 0, 1 / 1.15], "-": [0, 0, 1.15],
      }[event.key] ?? [];
      if (turn === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const position = new THREE.Spherical().setFromVector3(this.camera.position);
      position.theta += 0.15 * turn;
      position.phi += 0.15 * tilt;
      position.radius *= zoom;
      this.camera.position.setFromSpherical(position.makeSafe());
      this.controls.update();
    }

    draw() {
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
      const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
      if (this.canvas.width !== width || this.canvas.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
      }
      renderer.setSize(width, height, false);
      this.camera.aspect = width / height;
      this.camera.updateProjectionMatrix();
      this.camera.updateMatrixWorld();
      light.position.set(-0.5, 0.9, 1).applyQuaternion(this.camera.quaternion);
      this.geometry ??= geometryOf(packed[this.canvas.dataset.shape]);
      subject.geometry = this.geometry;
      subject.material = materials[this.canvas.dataset.kind];
      renderer.render(scene, this.camera);
      this.context.clearRect(0, 0, width, height);
      this.context.drawImage(renderer.domElement, 0, 0);
      this.stale = false;
      this.canvas.dataset.drawn = Number(this.canvas.dataset.drawn || 0) + 1;
    }
  }

  function companions(view) {
    const group = view.canvas.closest("[data-together]");
    const box = group?.querySelector("input[type=checkbox]");
    return group && (!box || box.checked) ? views.filter((other) => group.contains(other.canvas)) : [view];
  }

  let waiting = false;
  function drawSoon() {
    if (!waiting) requestAnimationFrame(drawStale);
    waiting = true;
  }

  function drawStale() {
    waiting = false;
    const end = performance.now() + FRAME_MS;
    for (const view of views) {
      if (!view.stale || !view.visible) continue;
      if (performance.now() > end) return drawSoon();
      view.draw();
    }
    root.dataset.idle = Number(root.dataset.idle || 0) + 1;
  }

  const views = [...document.querySelectorAll("canvas[data-shape]")].map((canvas) => new View(canvas));
  const viewOf = new Map(views.map((view) => [view.canvas, view]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) viewOf.get(entry.target).visible = entry.isIntersecting;
      drawSoon();
    },
    { rootMargin: "300px" },
  );
  const sized = new ResizeObserver((entries) => {
    for (const entry of entries) viewOf.get(entry.target).stale = true;
    drawSoon();
  });
  for (const view of views) {
    seen.observe(view.canvas);
    sized.observe(view.canvas);
  }
  window.addEventListener("beforeprint", () => views.filter((view) => view.stale).forEach((view) => view.draw()));
  renderer.domElement.addEventListener("webglcontextrestored", () => {
    views.forEach((view) => (view.stale = true));
    drawSoon();
  });
})();
